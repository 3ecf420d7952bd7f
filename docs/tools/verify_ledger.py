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
    gaps     0  the same, but it tells of silence, obligations without facts, a clock set back, breaks (1 with --strict)
    wrong    1  not what was signed: the first wrong entry, or `-` where no entry but a head or a key is wrong
    refused  2  not an export, or not a key: nothing was examined
docs/ledger-format.md describes the formats. The order here is: signatures, tree, notes, entries, export.
"""
import argparse, base64, datetime, hashlib, json, re, sys

class Wrong(Exception):
    """An entry (or None), and why the record is not what was signed."""
class Refused(Exception):
    """Why nothing can be examined."""

MALFORMED = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, Refused)

def unbase64(text):
    """What is written in base64, if it is written in the one way that there is."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError(f"`{text}` is not base64")
    return data

# --- Ed25519 signatures, RFC 8032, section 5.1. A point is (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z. ---
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D, D2 = (n * -121665 * pow(121666, P - 2, P) % P for n in (1, 2))
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1, 1, 0)

def decode(data):
    """The point that 32 bytes stand for; None if they stand for none, or for one of the eight of small order."""
    sign, y = divmod(int.from_bytes(data, "little"), 2**255)
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * v**3 % P * pow(u * v**7 % P, (P - 5) // 8, P) % P
    if v * x * x % P != u:
        x = x * ROOT_OF_MINUS_ONE % P
    x = x if x & 1 == sign else P - x
    point = (x, y, 1, x * y % P)
    return None if v * x * x % P != u or y >= P or times(8, point)[0] == 0 else point

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

def weighted_sum(pairs):
    """The sum of weight x point for many points: those that share a digit are added before they are multiplied."""
    total, window = NEUTRAL, max(2, len(pairs).bit_length() - 4)
    for shift in reversed(range(0, 128, window)):
        total, buckets = times(1 << window, total), [NEUTRAL] * (1 << window)
        for weight, point in pairs:
            digit = weight >> shift & ((1 << window) - 1)
            buckets[digit] = add(buckets[digit], point)
        running = NEUTRAL
        for point in buckets[:0:-1]:
            running = add(running, point)
            total = add(total, running)
    return total

BASE = decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

def all_signed(items):
    """Whether each of the items (public key, message, signature) is signed.

    A signature (R, s) is good if 8*s*B = 8*R + 8*h*A, and neither R nor A is of small order. Many are held together:
    each equation times a weight that nobody can choose, for it comes out of all of them, and all added up.
    """
    seed = hashlib.sha512(b"".join(hashlib.sha512(b"".join(item)).digest() for item in items)).digest()
    pairs, base, keys = [], 0, {}
    for number, (public, message, signature) in enumerate(items):
        point, s = decode(signature[:32]), int.from_bytes(signature[32:], "little")
        if len(signature) != 64 or s >= ORDER or point is None:
            return False
        weight = int.from_bytes(hashlib.sha256(seed + number.to_bytes(8, "little")).digest()[:16], "little")
        h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little")
        pairs.append((weight, point))
        base += weight * s
        keys[public] = keys.get(public, 0) + weight * h
    left, right = times(base % ORDER, BASE), weighted_sum(pairs)
    for public, scalar in keys.items():
        point = decode(public)
        if point is None:
            return False
        right = add(right, times(scalar % ORDER, point))
    left, right = times(8, left), times(8, right)
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
NAME = re.compile(r"[^\s+]+")
HEAD = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,19})\n([A-Za-z0-9+/]{43}=)\n([^\n]+\n)*")
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
LATEST = datetime.datetime(9999, 12, 30, 22, tzinfo=datetime.timezone.utc)

def opened(note):
    """The text of a signed note; name, key id and bytes of each signature under it. ValueError if it is none."""
    text, gap, below = note.rpartition("\n\n")
    *lines, rest = below.split("\n")
    parts = [(dash, name, unbase64(encoded)) for dash, name, encoded in (line.split(" ", 2) for line in lines)]
    good = all(dash == "\u2014" and NAME.fullmatch(name) and len(data) > 4 for dash, name, data in parts)
    good = good and gap and not rest and 0 < len(lines) <= 100 and len(note.encode()) <= 10**6
    if not good or re.search("[\0-\t\v-\x1f]", note):
        raise ValueError("not a signed note")
    return text + "\n", [(name, data[:4].hex(), data[4:]) for _, name, data in parts]

class Key:
    """A public key as C2SP writes it: name, id and base64 of its kind and 32 bytes, with `+` between them."""
    def __init__(self, text, kind=LEDGER):
        try:
            self.text, (self.name, self.id, encoded) = text, text.split("+", 2)
            typed = unbase64(encoded)
            good = NAME.fullmatch(self.name) and typed[:1] == bytes([kind]) and len(typed) == 33 and decode(typed[1:])
            good = good and hashlib.sha256(self.name.encode() + b"\n" + typed).hexdigest()[:8] == self.id
        except (ValueError, AttributeError):
            good = False
        if not good:
            raise Refused(f"`{text}` is not a public key")
        self.kind, self.public = kind, typed[1:]

    def accepts(self, note):
        """Whether this key has signed the note: the time if it is a witness's, 0 otherwise; None if it has not."""
        try:
            text, signatures = opened(note)
            data = next(data for *of, data in signatures if of == [self.name, self.id])
        except (ValueError, StopIteration):
            return None
        time, above = 0, ""
        if self.kind == WITNESS:
            time, data = int.from_bytes(data[:8], "big"), data[8:]
            above = f"cosignature/v1\ntime {time}\n"
        good = time <= (LATEST - EPOCH).total_seconds() and all_signed([(self.public, (above + text).encode(), data)])
        return time if good else None

def checkpoint(origin, size, root):
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"

def head_in(note):
    """Origin, size and root of a head, whoever has signed it; the size -1 if it is none."""
    try:
        found = HEAD.fullmatch(opened(note)[0])
        return (found[1], int(found[2]), unbase64(found[3])) if int(found[2]) < 2**64 else ("", -1, b"")
    except (ValueError, TypeError):
        return "", -1, b""

def read_head(note, key):
    """Size and root of a head that the key has signed."""
    origin, size, root = head_in(note)
    if origin != key.name or key.accepts(note) is None:
        raise Wrong(None, f"the head of `{origin}` at {size} is not signed by {key.text}")
    return size, root

# --- What the entries themselves tell. Texts of times sort as the times do. ---
ANSWERS = {"recovery-point", "copy", "verification", "drill", "key-change"}
TIME = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}\.[0-9]{6}Z")
def moment(text):
    time = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if time.tzinfo is None or time > LATEST:
        raise ValueError(f"`{text}` is not a time like 2026-01-31T04:00:00Z")
    return time
def written(time):
    return time.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

def shown(text):
    """What an entry says, without what would write over the lines of this program."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)

def parsed(data):
    """JSON that everybody reads alike: no key twice in an object, no half letters, no numbers without an end."""
    def once(pairs):
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands there twice")
        return found
    value = json.loads(data.decode(), object_pairs_hook=once)
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return value

def texts(values):
    """These values, which must be a list of texts."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("not texts")
    return values

def time_in(text):
    """This text, which must be a time as entries have them."""
    if not TIME.fullmatch(text) or not moment(text):
        raise ValueError(f"`{text}` is not a time")
    return text

def answered(entry):
    """The obligations that an entry answers."""
    if entry["fact"] == "people" and texts([entry["deed"]]) == ["attested"]:
        stated, outcome = texts(entry["statement"]["obligations"]), texts([entry["statement"]["outcome"]])
        return [] if outcome == ["declined"] else stated
    return texts(entry.get("obligations", [])) if entry["fact"] in ANSWERS else []

class Account:
    """Obligations without facts, silence, clocks set back, breaks."""
    def __init__(self):
        self.known, self.open, self.gaps = set(), {}, []
        self.horizon = self.latest = self.last = ""
        self.silent = self.behind = False

    def note(self, number, entry):
        at, kind = time_in(entry["at"]), entry["fact"]
        self.reach(at)
        if at >= self.latest:
            self.latest, self.behind = at, False
        elif not self.behind and moment(self.latest) - moment(at) > datetime.timedelta(minutes=1):
            self.gaps.append(f"clock set back at entry {number}: from {self.latest} to {at}")
            self.behind = True
        self.last = at
        for done in answered(entry):
            self.open.pop(done, None)
        if kind == "obligation-due" and time_in(entry["due"]) and texts([entry["id"]])[0] not in self.known:
            self.known.add(entry["id"])
            self.open[entry["id"]] = entry["due"]
        elif kind == "obligations-withdrawn":
            # What is withdrawn after it was due stays missed.
            for gone in [gone for gone in texts(entry["obligations"]) if at <= self.open.get(gone, "")]:
                del self.open[gone]
                self.known.discard(gone)
        elif kind == "horizon" and time_in(entry["until"]) > self.horizon:
            self.horizon, self.silent = entry["until"], False
        elif kind == "break":
            self.gaps.append(f"break at entry {number}: {texts([entry['reason']])[0]}")

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
LINE = re.compile(rb'\{"seq":(0|[1-9][0-9]{0,19}),"leaf":"([0-9a-f]{64})","signature":"([A-Za-z0-9+/]{85}[AQgw]==)",'
                  rb'"entry":(.*)\}', re.DOTALL)

class Examination:
    """Goes through an export; raises Wrong at the first entry that is not what was signed."""
    def __init__(self, export, expected, heads, witnesses):
        try:
            header = parsed(export.readline(LONGEST))
            self.form, self.origin, first, self.stated = (
                header.pop(name) for name in ("format", "origin", "public_key", "size"))
            good = texts([self.form, self.origin, first]) and not header and self.form in (FORM + "1", FORM + "2")
        except MALFORMED:
            good = False
        if not good or type(self.stated) is not int or not 0 <= self.stated < 2**64:
            raise Refused("this is not a ledger export of a form that is known here")
        self.expected, self.named = Key(first if expected is None else expected), first
        # The record may begin with an older key than the expected one: the one after which it is named.
        try:
            begin = Key(first)
        except Refused:
            begin = self.expected
        is_first = begin.name == self.expected.name == "vouchsafe/" + hashlib.sha256(begin.public).hexdigest()[:16]
        self.keys = [begin if is_first else self.expected]
        self.export, self.published, self.witnesses = export, {}, {text: Key(text, WITNESS) for text in witnesses}
        for note in heads:
            self.published.setdefault(head_in(note)[1], []).append(note)
        self.tree, self.account, self.waiting, self.met, self.seen = Tree(), Account(), [], 0, {}
        self.strange = None

    def run(self):
        self.meet()
        for line in iter(lambda: self.export.readline(LONGEST), b""):
            if not line.startswith(b'{"seq":'):
                return self.end(line.rstrip(b"\n"))
            self.entry(line.rstrip(b"\n") if len(line) < LONGEST or line.endswith(b"\n") else b"")
        self.fail(self.tree.size(), "the signed head is missing: the end was cut off")

    def entry(self, line):
        place, parts = self.tree.size(), LINE.fullmatch(line)
        if parts is None or int(parts[1]) != place:
            self.fail(place, "another line stands in its place" if parts else "its line has not the right form")
        body, leaf = parts[4], hashlib.sha256(b"\x00" + parts[4]).digest()
        if leaf.hex().encode() != parts[2]:
            self.fail(place, "its bytes do not give the leaf hash beside them")
        try:
            entry = parsed(body)
            good = repr(entry["v"]) == "1" and texts([entry[name] for name in ("at", "actor", "tool", "fact")])
            if good and entry["fact"] == "ledger-key-rotated":
                self.rotate(place, entry)
        except MALFORMED:
            good = False
        self.tree.push(leaf)
        message = checkpoint(self.keys[-1].name, place + 1, self.tree.roots[-1]).encode()
        self.waiting.append((self.keys[-1].public, message, base64.b64decode(parts[3])))
        if len(self.waiting) == TOGETHER:
            self.settle()
        self.meet()
        try:
            if good and entry["fact"] == "witnessed":
                self.witness(place, entry["witness"], entry["note"], (entry["tree_size"], entry["root"], entry["seen"]))
            if good:
                self.account.note(place, entry)
        except MALFORMED:
            good = False
        if not good:
            self.fail(place, "it has not the form of an entry that this program knows")

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
        stated = entry["from"], new.name, opened(entry["note"])[0]
        good = stated == (old.text, old.name, text) and new.public != old.public
        if not good or old.accepts(entry["note"]) is None or new.accepts(entry["note"]) is None:
            self.fail(place, "the change of the signing key is not signed by both keys")
        self.keys.append(new)

    def witness(self, place, text, note, stated=None):
        key, (origin, size, root) = Key(text, WITNESS), head_in(note)
        time = key.accepts(note)
        said = size, root.hex(), written(EPOCH + datetime.timedelta(seconds=time or 0))
        if time is None or origin != self.keys[0].name or repr(stated or said) != repr(said):
            self.fail(place, f"the witness {key.name} has not signed what is stated")
        if size > self.tree.size() or root != self.tree.roots[size]:
            self.fail(place, f"the witness {key.name} has seen another record of {size} entries")
        if size >= self.seen.get(text, (0, 0))[0]:
            self.seen[text] = (size, time)

    def size_of(self, note):
        """The size of a head that was seen elsewhere; None if it is not this record's, which is told at the end."""
        try:
            return read_head(note, self.keys[-1])[0]
        except Wrong as wrong:
            self.strange = self.strange or wrong

    def meet(self):
        """Holds the tree against the published heads of its size."""
        size = self.tree.size()
        for note in self.published.pop(size, ()):
            self.settle()
            if self.size_of(note) is None:
                continue
            if head_in(note)[2] != self.tree.roots[size]:
                raise Wrong(self.met, f"a head published at {size} entries has another root: the record was rewritten")
            self.met = size
            for text in [text for text, key in self.witnesses.items() if key.accepts(note) is not None]:
                self.witness(None, text, note)

    def end(self, line):
        self.settle()
        size = self.tree.size()
        try:
            note = json.loads(line.decode())["head"]
            exact = isinstance(note, str) and '{"head":' + json.dumps(note, ensure_ascii=False) + "}" == line.decode()
        except MALFORMED:
            exact = False
        if not exact or self.export.read(1):
            raise Wrong(size, "its line, or what follows the signed head, has not the right form")
        later = [self.size_of(note) or 0 for notes in self.published.values() for note in notes]
        if max([self.stated, *later]) > size:
            raise Wrong(size, f"it is missing: {max([self.stated, *later])} entries are spoken of")
        head, root = read_head(note, self.keys[-1])
        if head != size:
            raise Wrong(min(head, size), f"the signed head covers {head} entries")
        if root != self.tree.roots[size]:
            raise Wrong(self.met, "the signed head has another root")
        if self.strange:
            raise self.strange
        if self.expected.text not in [key.text for key in self.keys] or self.named != self.keys[0].text:
            raise Wrong(None, "the expected key has not signed it")
        if (self.stated, self.origin, self.form) != (size, self.keys[0].name, FORM + "12"[len(self.keys) > 1]):
            raise Wrong(None, "the first line contradicts the rest")

def examine(options):
    heads = [open(name, encoding="utf-8", newline="").read() for name in options.head]
    with open(options.file, "rb") as export:
        found = Examination(export, options.key, heads, options.witness)
        found.run()
    for key in found.keys[1:]:
        print(f"by a change of key signed by {shown(key.text)}")
    for text, (size, time) in found.seen.items():
        known = "" if text in found.witnesses else ", if this key is the witness's: give --witness"
        print(f"witnessed up to {size} entries at {EPOCH + datetime.timedelta(seconds=time)} by {shown(text)}{known}")
    gaps = found.account.close(options.until and written(moment(options.until)))
    for gap in gaps:
        print("!", shown(gap))
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
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return examine(parser.parse_args())
    except Wrong as wrong:
        print("wrong {}: {}".format("-" if wrong.args[0] is None else wrong.args[0], wrong.args[1]))
        return 1
    except (OSError, *MALFORMED) as reason:
        print("refused:", reason)
        return 2

if __name__ == "__main__":
    sys.exit(main())
