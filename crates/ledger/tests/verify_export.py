#!/usr/bin/env python3
"""Examines a ledger export as docs/ledger-format.md describes it, with Python's standard library alone.

Usage: verify_export.py EXPORT VKEY [PUBLISHED_HEAD_FILE...]
Prints `sound N` for a sound record of N entries, `wrong N` where entry N is the first wrong one,
`wrong -` where the head or the key is wrong and no entry.
"""
import base64
import hashlib
import json
import re
import sys

# Ed25519 verification, RFC 8032, section 5.1.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


def decode(data):
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = decode(BASE_Y.to_bytes(32, "little"))


def signed(public, message, signature):
    if len(signature) != 64:
        return False
    a, r = decode(public), decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    left = times(s, BASE)
    right = add(r, times(int.from_bytes(digest, "little") % ORDER, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (
        left[1] * right[2] - right[1] * left[2]
    ) % P == 0


# The tree, RFC 6962, section 2.1.
class Tree:
    def __init__(self):
        self.size, self.nodes = 0, []

    def push(self, leaf):
        count = self.size
        while count & 1:
            leaf = hashlib.sha256(b"\x01" + self.nodes.pop() + leaf).digest()
            count >>= 1
        self.nodes.append(leaf)
        self.size += 1

    def root(self):
        if not self.nodes:
            return hashlib.sha256(b"").digest()
        root = self.nodes[-1]
        for node in reversed(self.nodes[:-1]):
            root = hashlib.sha256(b"\x01" + node + root).digest()
        return root


class Key:
    def __init__(self, text):
        self.name, self.id, encoded = text.split("+", 2)
        typed = base64.b64decode(encoded, validate=True)
        assert typed[0] == 1 and len(typed) == 33, "an Ed25519 key"
        digest = hashlib.sha256(self.name.encode() + b"\n" + typed).hexdigest()
        assert digest[:8] == self.id, "the key's id fits"
        self.public = typed[1:]

    def checkpoint(self, size, root):
        encoded = base64.b64encode(root).decode()
        return f"{self.name}\n{size}\n{encoded}\n".encode()

    def read_note(self, note):
        """Size and root of a signed head; None if this key has not signed it."""
        text, _, lines = note.partition("\n\n")
        origin, size, root = text.split("\n")[:3]
        for line in lines.splitlines():
            dash, name, encoded = line.split(" ")
            data = base64.b64decode(encoded, validate=True)
            if dash == "\u2014" and name == self.name and data[:4].hex() == self.id:
                good = signed(self.public, (text + "\n").encode(), data[4:])
                if good and origin == self.name:
                    return int(size), base64.b64decode(root, validate=True)
        return None


LINE = re.compile(
    rb'\{"seq":(0|[1-9][0-9]*),"leaf":"([0-9a-f]{64})","signature":"([A-Za-z0-9+/]{86}==)",'
    rb'"entry":(.*)\}\n',
    re.DOTALL,
)


def examine(path, vkey, heads):
    key = Key(vkey)
    published = {}
    for note in heads:
        head = key.read_note(note)
        if head is None:
            return "-"
        published[head[0]] = head[1]
    tree, met = Tree(), 0
    with open(path, "rb") as export:
        header = json.loads(export.readline())
        if header["format"] != "vouchsafe-ledger-export/1" or header["public_key"] != vkey:
            return "-"
        for line in export:
            if not line.startswith(b'{"seq":'):
                break
            parts = LINE.fullmatch(line)
            if parts is None or int(parts[1]) != tree.size:
                return tree.size
            leaf = hashlib.sha256(b"\x00" + parts[4]).digest()
            if leaf.hex().encode() != parts[2]:
                return tree.size
            tree.push(leaf)
            text = key.checkpoint(tree.size, tree.root())
            if not signed(key.public, text, base64.b64decode(parts[3])):
                return tree.size - 1
            if tree.size in published:
                if published.pop(tree.size) != tree.root():
                    return met
                met = tree.size
        else:
            return tree.size
        head = key.read_note(json.loads(line)["head"])
        if head is None or export.read(1):
            return "-"
    if published or header["size"] > tree.size or head[0] > tree.size:
        return tree.size
    return None if head == (tree.size, tree.root()) == (header["size"], head[1]) else "-"


def main():
    path, vkey, *files = sys.argv[1:]
    heads = [open(name, encoding="utf-8", newline="").read() for name in files]
    wrong = examine(path, vkey, heads)
    if wrong is None:
        with open(path, "rb") as export:
            print("sound", json.loads(export.readline())["size"])
    else:
        print("wrong", wrong)


main()
