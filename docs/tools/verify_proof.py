#!/usr/bin/env python3
"""Checks a proof from a ledger of Vouchsafe without Vouchsafe; it needs verify_ledger.py beside it, and nothing else.

    verify_proof.py PROOF --key VKEY [--head FILE]

PROOF is what `vouchsafe ledger prove` writes: either that an entry is in the record (C2SP tlog-proof, with the entry's
bytes as extra data; they are printed), or that the record goes on from an older head, which is given with --head (the
request of C2SP tlog-witness). VKEY is the ledger's public key, from the recovery sheet.

The last line is the outcome, and the exit code says the same: sound 0, wrong 1, refused 2.
"""
import argparse, hashlib, sys
from verify_ledger import Key, Refused, Wrong, join, read_head, unbase64

def climb(index, size, path, node, old=None):
    """Follows hashes from a node upwards (RFC 9162, 2.1.3.2 and 2.1.4.2): the root, and that of the older tree."""
    last = size - 1
    for beside in path:
        if last == 0:
            raise Wrong(None, "the proof has more hashes than the tree is high")
        if index & 1 or index == last:
            node, old = join(beside, node), old and join(beside, old)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            node = join(node, beside)
        index, last = index >> 1, last >> 1
    if last:
        raise Wrong(None, "the proof has fewer hashes than the tree is high")
    return node, old

def hashes(lines):
    return [unbase64(line) for line in lines]

def number(text):
    if not text.isdigit() or str(int(text)) != text:
        raise ValueError
    return int(text)

def entry_proof(lines, size, root):
    extra, index = (line.split(" ") for line in lines[:2])
    if (extra[0], index[0]) != ("extra", "index"):
        raise ValueError
    place, entry, path = number(index[1]), unbase64(extra[1]), hashes(lines[2:])
    leaf = hashlib.sha256(b"\x00" + entry).digest()
    if place >= size or climb(place, size, path, leaf)[0] != root:
        raise Wrong(place, f"these bytes are not entry {place} of the {size} that the head covers")
    print(entry.decode())
    return f"this is entry {place} of the {size} that the head covers"

def growth_proof(old, lines, size, root, key, head):
    if head is None:
        raise Refused("this proof goes on from an older head: give that one with --head")
    old_size, old_root = read_head(head, key)
    if old_size != old or old > size:
        raise Wrong(None, f"the proof goes on from {old} entries, the older head covers {old_size}")
    path = hashes(lines)
    if old in (0, size):
        fits = not path and old_root == (root if old else hashlib.sha256(b"").digest())
    else:
        # Where the older tree is a whole subtree of the newer one, its root is not in the proof.
        height = (old & -old).bit_length() - 1
        start, *path = path if old & (old - 1) else [old_root, *path]
        fits = climb((old - 1) >> height, ((size - 1) >> height) + 1, path, start, start) == (root, old_root)
    if not fits:
        raise Wrong(None, f"the head of {size} entries does not go on from the one of {old}")
    return f"the head of {size} entries goes on from the one of {old}"

def check(options):
    text = open(options.file, encoding="utf-8", newline="").read()
    head = options.head and open(options.head, encoding="utf-8", newline="").read()
    above, gap, note = text.partition("\n\n")
    first, *lines = above.split("\n")
    if not gap or first != "c2sp.org/tlog-proof@v1" and not first.startswith("old "):
        raise ValueError
    key = Key(options.key)
    size, root = read_head(note, key)
    if first.startswith("old "):
        return growth_proof(number(first[4:]), lines, size, root, key, head)
    return entry_proof(lines, size, root)

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="PROOF")
    parser.add_argument("--key", required=True)
    parser.add_argument("--head")
    sys.stdout.reconfigure(errors="backslashreplace")
    options = parser.parse_args()
    try:
        print("sound:", check(options))
        return 0
    except Wrong as wrong:
        print("wrong:", wrong.args[1])
        return 1
    except (Refused, OSError) as reason:
        print("refused:", reason)
        return 2
    except (ValueError, IndexError):
        print("refused: this is not a proof")
        return 2

if __name__ == "__main__":
    sys.exit(main())
