#!/usr/bin/env python3
"""Examines a ledger export of Vouchsafe without Vouchsafe: Python's standard library is enough.

    verify_ledger.py EXPORT [--key VKEY] [--head FILE]... [--witness VKEY]... [--until TIME] [--strict]

--key     the ledger's public key, from the recovery sheet. Without it the key in the export is believed, which proves
          nothing about who wrote the record.
--head    a head that was seen elsewhere: in a vault, with a witness. Only such heads show that the end was cut off,
          or that somebody who has the signing key wrote the record anew.
--witness the public key of a witness, as it was learnt elsewhere.
--until   a time (2026-01-31T04:00:00Z) up to which the record should reach: what is missing before it is silence.

The last line is the outcome, and the exit code says the same:
    sound    0  every entry is what was signed
    gaps     0  the same, but the record tells of silence, obligations without facts, a clock set back, breaks
                (1 with --strict)
    wrong    1  not what was signed: the first wrong entry, or `-` where no entry but a head or a key is wrong
    refused  2  not an export, or not a key: nothing was examined
docs/ledger-format.md describes the formats. The order here is: signatures, tree, notes, entries, export.
"""
import argparse, base64, datetime, hashlib, json, re, sys

class Wrong(Exception):
    """An entry (or None), and why the record is not what was signed."""

class Refused(Exception):
    """Why nothing can be examined."""

# --- Ed25519 signatures, RFC 8032, section 5.1. A point is (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z. ---
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D, D2 = (n * -121665 * pow(121666, P - 2, P) % P for n in (1, 2))
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1, 1, 0)

def decode(data):
    """The point that 32 bytes stand for; None if they stand for none."""
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * v**3 % P * pow(u * v**7 % P, (P - 5) // 8, P) % P
    if v * x * x % P != u:
        x = x * ROOT_OF_MINUS_ONE % P
    if v * x * x % P != u or y >= P or (x == 0 and sign):
        return None
    x = x if x & 1 == sign else P - x
    return (x, y, 1, x * y % P)

def add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = p[3] * D2 % P * q[3] % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)

def times(scalar, point):
    result = NEUTRAL
    for bit in bin(scalar)[2:]:
        result = add(result, result)
        result = add(result, point) if bit == "1" else result
    return result

def weighted_sum(weights, points, bits=128, window=10):
    """The sum of weight x point for many points: those that share a digit are added before they are multiplied."""
    total = NEUTRAL
    for shift in reversed(range(0, bits, window)):
        total = times(1 << window, total)
        buckets = {}
        for weight, point in zip(weights, points):
            digit = weight >> shift & ((1 << window) - 1)
            if digit:
                buckets[digit] = add(buckets[digit], point) if digit in buckets else point
        running = NEUTRAL
        for digit in range(max(buckets, default=0), 0, -1):
            if digit in buckets:
                running = add(running, buckets[digit])
            total = add(total, running)
    return total

BASE = decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

def all_signed(items):
    """Whether each of the items (public key, message, signature) is signed.

    A signature (R, s) is good if s*B = R + h*A. Many are held together: each equation times a weight that nobody can
    choose, for it comes out of all of them, and all added up.
    """
    seed = hashlib.sha512(b"".join(hashlib.sha512(b"".join(item)).digest() for item in items)).digest()
    weights, points, base, keys = [], [], 0, {}
    for number, (public, message, signature) in enumerate(items):
        point, s = decode(signature[:32]), int.from_bytes(signature[32:], "little")
        if len(signature) != 64 or s >= ORDER or point is None:
            return False
        weight = int.from_bytes(hashlib.sha256(seed + number.to_bytes(8, "little")).digest()[:16], "little")
        h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little")
        weights.append(weight)
        points.append(point)
        base += weight * s
        keys[public] = keys.get(public, 0) + weight * h
    left, right = times(base % ORDER, BASE), weighted_sum(weights, points)
    for public, scalar in keys.items():
        right = add(right, times(scalar % ORDER, decode(public)))
    return all((left[n] * right[2] - right[n] * left[2]) % P == 0 for n in (0, 1))

def first_unsigned(items):
    """The place of the first item that is not signed; None if all are."""
    if all_signed(items):
        return None
    half = len(items) // 2
    left = first_unsigned(items[:half]) if half else 0
    return left if left is not None else half + (first_unsigned(items[half:]) or 0)

# --- The tree, RFC 6962, section 2.1. ---
def join(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()

class Tree:
    """The right edge of a growing tree, and the root at each size that it had."""
    def __init__(self):
        self.nodes, self.roots = [], [hashlib.sha256(b"").digest()]
    def size(self):
        return len(self.roots) - 1
    def push(self, leaf):
        count = self.size()
        while count & 1:
            leaf, count = join(self.nodes.pop(), leaf), count >> 1
        self.nodes.append(leaf)
        root = leaf
        for node in self.nodes[-2::-1]:
            root = join(node, root)
        self.roots.append(root)

# --- Keys and signed heads: C2SP signed-note, tlog-checkpoint, tlog-cosignature. ---
LEDGER, WITNESS = 1, 4

class Key:
    """A public key as C2SP writes it: name, id and base64 of its kind and 32 bytes, with `+` between them."""
    def __init__(self, text, kind=LEDGER):
        try:
            self.text, (self.name, self.id, encoded) = text, text.split("+", 2)
            typed = base64.b64decode(encoded, validate=True)
        except (ValueError, AttributeError):
            raise Refused(f"`{text}` is not a public key")
        digest = hashlib.sha256(self.name.encode() + b"\n" + typed).hexdigest()
        if typed[:1] != bytes([kind]) or len(typed) != 33 or digest[:8] != self.id or decode(typed[1:]) is None:
            raise Refused(f"`{text}` is not a public key")
        self.kind, self.public = kind, typed[1:]

    def is_first(self):
        """Whether the ledger is named after this key, as it is after its first one."""
        return self.name == "vouchsafe/" + hashlib.sha256(self.public).hexdigest()[:16]

    def accepts(self, note):
        """Whether this key has signed the note: the time if it is a witness's, 0 otherwise; None if it has not."""
        text, _, lines = note.rpartition("\n\n")
        for line in lines.splitlines():
            dash, _, rest = line.partition(" ")
            name, _, encoded = rest.partition(" ")
            try:
                data = base64.b64decode(encoded, validate=True)
            except ValueError:
                continue
            if (dash, name, data[:4].hex()) != ("\u2014", self.name, self.id):
                continue
            message, time, signature = (text + "\n").encode(), 0, data[4:]
            if self.kind == WITNESS:
                time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
                message = f"cosignature/v1\ntime {time}\n".encode() + message
            return time if all_signed([(self.public, message, signature)]) else None
        return None

def checkpoint(origin, size, root):
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
def size_in(note):
    lines = note.split("\n")
    return int(lines[1]) if lines[1:2] and lines[1].isdigit() else -1

def read_head(note, key):
    """Size and root of a head that the key has signed."""
    try:
        origin, size, root = note.split("\n")[0], size_in(note), base64.b64decode(note.split("\n")[2], validate=True)
    except (ValueError, IndexError):
        raise Wrong(None, "a head is not a signed head")
    if origin != key.name or not note.startswith(checkpoint(origin, size, root)) or key.accepts(note) is None:
        raise Wrong(None, f"the head of `{origin}` at {size} is not signed by {key.text}")
    return size, root

# --- What the entries themselves tell. Texts of times sort as the times do. ---
ANSWERS = {"recovery-point", "copy", "verification", "drill", "key-change"}
def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))

class Account:
    """Obligations without facts, silence, clocks set back, breaks."""
    def __init__(self):
        self.known, self.open, self.gaps = set(), {}, []
        self.horizon = self.latest = self.last = ""
        self.silent = self.behind = False

    def note(self, number, entry):
        at, kind = entry["at"], entry["fact"]
        self.reach(at)
        if at >= self.latest:
            self.latest, self.behind = at, False
        elif not self.behind and moment(self.latest) - moment(at) > datetime.timedelta(minutes=1):
            self.gaps.append(f"clock set back at entry {number}: from {self.latest} to {at}")
            self.behind = True
        self.last = at
        for done in entry["obligations"] if kind in ANSWERS and "obligations" in entry else ():
            self.open.pop(done, None)
        if kind == "obligation-due" and entry["id"] not in self.known:
            self.known.add(entry["id"])
            self.open[entry["id"]] = entry["due"]
        elif kind == "obligations-withdrawn":
            # What is withdrawn after it was due stays missed.
            for gone in [gone for gone in entry["obligations"] if at <= self.open.get(gone, "")]:
                del self.open[gone]
                self.known.discard(gone)
        elif kind == "horizon" and entry["until"] > self.horizon:
            self.horizon, self.silent = entry["until"], False
        elif kind == "break":
            self.gaps.append(f"break at entry {number}: {entry['reason']}")

    def reach(self, at):
        """Up to the horizon nothing can be left out unseen; from there to the next one everything can."""
        if self.horizon and at > self.horizon and not self.silent:
            self.gaps.append(f"silence from {self.horizon}")
            self.silent = True

    def close(self, until):
        self.reach(until or "")
        missed = sorted((due, name) for name, due in self.open.items() if due < self.last)
        return self.gaps + [f"obligation {name} was due {due} and has no fact" for due, name in missed]

# --- The export. ---
FORM = "vouchsafe-ledger-export/"
LONGEST = 4 * 2**20 + 1024
TOGETHER = 16384
LINE = re.compile(rb'\{"seq":(0|[1-9][0-9]*),"leaf":"([0-9a-f]{64})","signature":"([A-Za-z0-9+/]{86}==)",'
                  rb'"entry":(.*)\}', re.DOTALL)

class Examination:
    """Goes through an export; raises Wrong at the first entry that is not what was signed."""
    def __init__(self, export, expected, heads, witnesses):
        try:
            header = json.loads(export.readline(LONGEST).decode())
            self.form, self.origin, first, self.stated = (
                header.pop(name) for name in ("format", "origin", "public_key", "size"))
        except (ValueError, AttributeError, KeyError):
            raise Refused("this is not a ledger export")
        if self.form not in (FORM + "1", FORM + "2") or header or not isinstance(self.stated, int):
            raise Refused(f"an export of the form `{self.form}` is not known here")
        self.expected, self.named = Key(expected or first), first
        # The record may begin with an older key than the expected one: the one after which it is named.
        try:
            begin = Key(first)
        except Refused:
            begin = self.expected
        self.keys = [begin if begin.name == self.expected.name and begin.is_first() else self.expected]
        self.export, self.published, self.witnesses = export, {}, {text: Key(text, WITNESS) for text in witnesses}
        for note in heads:
            self.published.setdefault(size_in(note), []).append(note)
        self.tree, self.account, self.waiting, self.met, self.seen = Tree(), Account(), [], 0, {}

    def run(self):
        self.meet()
        for line in iter(lambda: self.export.readline(LONGEST), b""):
            if not line.startswith(b'{"seq":'):
                return self.end(line.removesuffix(b"\n"))
            self.entry(line.removesuffix(b"\n"))
        self.fail(self.tree.size(), "the signed head is missing: the end was cut off")

    def entry(self, line):
        place, parts = self.tree.size(), LINE.fullmatch(line)
        if parts is None or int(parts[1]) != place:
            self.fail(place, "another line stands in its place" if parts else "its line has not the right form")
        body, leaf = parts[4], hashlib.sha256(b"\x00" + parts[4]).digest()
        if leaf.hex().encode() != parts[2]:
            self.fail(place, "its bytes do not give the leaf hash beside them")
        try:
            entry = json.loads(body.decode())
            good = entry["v"] == 1 and all(isinstance(entry[name], str) for name in ("at", "actor", "tool", "fact"))
        except (ValueError, TypeError, KeyError):
            good = False
        if good and entry["fact"] == "ledger-key-rotated":
            self.rotate(place, entry)
        self.tree.push(leaf)
        message = checkpoint(self.keys[-1].name, place + 1, self.tree.roots[-1]).encode()
        self.waiting.append((self.keys[-1].public, message, base64.b64decode(parts[3])))
        if len(self.waiting) == TOGETHER:
            self.settle()
        self.meet()
        if not good:
            self.fail(place, "it has not the form of an entry that this program knows")
        if entry["fact"] == "witnessed":
            self.witness(place, entry["witness"], entry["note"])
        self.account.note(place, entry)

    def settle(self):
        """Checks the signatures that wait."""
        items, self.waiting = self.waiting, []
        bad = first_unsigned(items)
        if bad is not None:
            raise Wrong(self.tree.size() - len(items) + bad, "it is not the one over which the head was signed")

    def fail(self, place, reason):
        self.settle()
        raise Wrong(place, reason)

    def rotate(self, place, entry):
        """Another key signs from here on if both it and the one before have signed that, for this tree."""
        old, new, root = self.keys[-1], Key(entry["to"]), base64.b64encode(self.tree.roots[-1]).decode()
        text = f"vouchsafe-ledger-key/1\n{old.name}\n{place}\n{root}\n{old.text}\n{new.text}\n"
        both = entry["note"].startswith(text + "\n") and new.name == old.name
        if not both or old.accepts(entry["note"]) is None or new.accepts(entry["note"]) is None:
            self.fail(place, "the change of the signing key is not signed by both keys")
        self.keys.append(new)

    def witness(self, place, text, note):
        key, size = Key(text, WITNESS), size_in(note)
        time = key.accepts(note)
        if time is None or not 0 <= size <= self.tree.size():
            self.fail(place, f"the witness {key.name} has not signed what is stated")
        if not note.startswith(checkpoint(self.keys[0].name, size, self.tree.roots[size])):
            self.fail(place, f"the witness {key.name} has seen another record of {size} entries")
        if size >= self.seen.get(text, (0, 0))[0]:
            self.seen[text] = (size, time)

    def meet(self):
        """Holds the tree against the published heads of its size."""
        size = self.tree.size()
        for note in self.published.pop(size, ()):
            self.settle()
            if read_head(note, self.keys[-1])[1] != self.tree.roots[size]:
                raise Wrong(self.met, f"a head published at {size} entries has another root: the record was rewritten")
            self.met = size
            for text in [text for text, key in self.witnesses.items() if key.accepts(note) is not None]:
                self.witness(None, text, note)

    def end(self, line):
        self.settle()
        size = self.tree.size()
        try:
            note = json.loads(line.decode())["head"]
            exact = '{"head":' + json.dumps(note, ensure_ascii=False) + "}" == line.decode()
        except (ValueError, TypeError, KeyError):
            exact = False
        if not exact or self.export.read(1):
            raise Wrong(size, "its line, or what follows the signed head, has not the right form")
        if max([self.stated, *self.published]) > size:
            raise Wrong(size, f"it is missing: {max([self.stated, *self.published])} entries are spoken of")
        head, root = read_head(note, self.keys[-1])
        if head != size:
            raise Wrong(min(head, size), f"the signed head covers {head} entries")
        if root != self.tree.roots[size]:
            raise Wrong(self.met, "the signed head has another root")
        expected = self.expected.text in [key.text for key in self.keys]
        if self.published or not expected or self.named != self.keys[0].text:
            raise Wrong(None, "a published head is not one" if self.published else "the expected key has not signed it")
        if (self.stated, self.origin, self.form) != (size, self.keys[0].name, FORM + "12"[len(self.keys) > 1]):
            raise Wrong(None, "the first line contradicts the rest")

def examine(options):
    heads = [open(name, encoding="utf-8", newline="").read() for name in options.head]
    with open(options.file, "rb") as export:
        found = Examination(export, options.key, heads, options.witness)
        found.run()
    for key in found.keys[1:]:
        print(f"by a change of key signed by {key.text}")
    for text, (size, time) in found.seen.items():
        known = "" if text in found.witnesses else ", if this key is the witness's: give --witness"
        when = datetime.datetime.fromtimestamp(time, datetime.timezone.utc)
        print(f"witnessed up to {size} entries at {when} by {text}{known}")
    gaps = found.account.close(options.until and moment(options.until).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    for gap in gaps:
        print("!", gap)
    print(f"{'gaps' if gaps else 'sound'} {found.tree.size()}: every entry is what was signed")
    return 1 if gaps and options.strict else 0

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="EXPORT")
    parser.add_argument("--key")
    parser.add_argument("--until")
    parser.add_argument("--head", action="append", default=[])
    parser.add_argument("--witness", action="append", default=[])
    parser.add_argument("--strict", action="store_true")
    try:
        return examine(parser.parse_args())
    except Wrong as wrong:
        print("wrong {}: {}".format("-" if wrong.args[0] is None else wrong.args[0], wrong.args[1]))
        return 1
    except (Refused, OSError, ValueError) as reason:
        print("refused:", reason)
        return 2

if __name__ == "__main__":
    sys.exit(main())
