#!/usr/bin/env python3
"""Examines a ledger export of Vouchsafe (docs/ledger-format.md) without it: Python's standard library is enough.

    verify_ledger.py EXPORT [--key VKEY] [--head FILE]... [--witness VKEY]... [--until TIME] [--strict]

--key     the ledger's public key, from the recovery sheet. Without it the export's own is believed, whoever made it.
--head    a head seen in a vault or with a witness: only this shows a cut end, or a record written anew with the key.
--witness the public key of a witness, as it was learnt elsewhere.
--until   a time (2026-01-31T04:00:00Z) up to which the record should reach: what is missing before it is silence.

The last line is the outcome, and the exit code says the same:
    sound    0  every entry is what was signed
    gaps     0  the same, but it tells of silence, obligations without facts, a clock set back, breaks (1 with --strict)
    wrong    1  not what was signed: the first wrong entry, or `-` where no entry but a head or a key is wrong
    refused  2  not an export, or not a key: nothing was examined
"""
import argparse, base64, datetime, functools, hashlib, json, re, sys

class Wrong(Exception): """An entry (or `-`), and why the record is not what was signed."""
class Refused(Exception): """Why nothing can be examined."""
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
NEUTRAL, BASE = (0, 1, 1, 0), (4 * pow(5, P - 2, P) % P).to_bytes(32, "little")
def decode(data):
    """The point that 32 bytes stand for; None if they stand for none, or for one of the eight of small order."""
    sign, y = divmod(int.from_bytes(data, "little"), 2**255)
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * v**3 % P * pow(u * v**7 % P, (P - 5) // 8, P) % P
    if v * x * x % P != u:
        x = x * ROOT_OF_MINUS_ONE % P
    x = x if x & 1 == sign else P - x
    point = (x, y, 1, x * y % P)
    return None if v * x * x % P != u or y >= P or vanishes(point) else point
def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = p[3] * D2 % P * q[3] % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)
def vanishes(point):
    """Whether eight times the point is the neutral one."""
    for _ in range(3):
        point = add(point, point)
    return point[0] == 0 and point[1] == point[2]
def weighted_sum(pairs):
    """The sum of weight x point over pairs of them: one pass over the bits of all weights, the highest first."""
    total = NEUTRAL
    for bit in reversed(range(256)):
        total = add(total, total)
        for weight, point in pairs:
            total = add(total, point) if weight >> bit & 1 else total
    return total

def all_signed(items):
    """Whether each of the items (public key, message, signature) is signed.

    A signature (R, s) is good if 8*(R + h*A - s*B) is neutral, and neither R nor A is of small order. Many are held
    together: each equation times a weight that nobody can choose, for it comes out of all of them, and all added up.
    """
    seed = hashlib.sha512(b"".join(hashlib.sha512(b"".join(item)).digest() for item in items)).digest()
    pairs, scalars = [], {BASE: 0}
    for number, (public, message, signature) in enumerate(items):
        point, s = decode(signature[:32]), int.from_bytes(signature[32:], "little")
        weight = int.from_bytes(hashlib.sha256(seed + number.to_bytes(8, "little")).digest()[:16], "little")
        h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little")
        pairs.append((weight, point if len(signature) == 64 and s < ORDER else None))
        scalars[public] = scalars.get(public, 0) + weight * h
        scalars[BASE] -= weight * s
    pairs += [(scalar % ORDER, decode(public)) for public, scalar in scalars.items()]
    return all(point for _, point in pairs) and vanishes(weighted_sum(pairs))
def first_unsigned(items):
    """The place of the first item that is not signed; None if all are."""
    return None if all_signed(items) else next(n for n, item in enumerate(items) if not all_signed([item]))

# --- The tree, RFC 6962, section 2.1. ---
def join(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()
class Tree:
    """The right edge of a growing tree, and the root at each size that it had."""
    def __init__(self):
        self.size, self.edge, self.roots = 0, [], [hashlib.sha256(b"").digest()]
    def push(self, leaf):
        count, self.size = self.size, self.size + 1
        while count & 1:
            leaf, count = join(self.edge.pop(), leaf), count >> 1
        self.edge.append(leaf)
        self.roots.append(functools.reduce(lambda right, left: join(left, right), reversed(self.edge)))

# --- Keys and signed heads: C2SP signed-note, tlog-checkpoint, tlog-cosignature. ---
LEDGER, WITNESS = 1, 4
KEY = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})")
NOTE = re.compile("([^\0-\t\v-\x1f]+\n)\n((?:\u2014 [^\\s+\0-\x1f]+ [A-Za-z0-9+/]{7,}={0,2}\n){1,100})")
HEAD = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,19})\n([A-Za-z0-9+/]{43}=)\n([^\n]+\n)*")
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
LATEST = datetime.datetime(9999, 12, 30, 22, tzinfo=datetime.timezone.utc)
# RFC 3161: version and policy, SHA-256 of what is stamped, serial number, second and fraction of the time.
STAMP = re.compile(rb"\x02\x01\x01\x06.{2,40}?\x30(?:\x31\x30\x0d|\x2f\x30\x0b)\x06\x09\x60\x86\x48\x01\x65\x03"
                   rb"\x04\x02\x01(?:\x05\x00)?\x04\x20(.{32})\x02.{2,40}?\x18.(\d{14})(?:\.(\d+))?Z", re.DOTALL)

def opened(note):
    """The text of a signed note; name, key id and bytes of each signature under it. ValueError if it is none."""
    found = NOTE.fullmatch(note)
    if found is None or len(note.encode()) > 10**6:
        raise ValueError("not a signed note")
    lines = [(name, unbase64(data)) for _, name, data in (line.split(" ") for line in found[2].split("\n")[:-1])]
    return found[1], [(name, data[:4].hex(), data[4:]) for name, data in lines]
class Key:
    """A public key as C2SP writes it: name, id and base64 of its kind and 32 bytes, with `+` between them."""
    def __init__(self, text, kind=LEDGER):
        found = KEY.fullmatch(text)
        typed = base64.b64decode(found[3]) if found else b""
        named = found and hashlib.sha256(found[1].encode() + b"\n" + typed).hexdigest()[:8] == found[2]
        if not named or typed[0] != kind or decode(typed[1:]) is None:
            raise Refused(f"`{text}` is not a public key")
        self.text, self.name, self.id, self.kind, self.public = text, found[1], found[2], kind, typed[1:]
    def accepts(self, note):
        """Whether this key has signed the note: the time if it is a witness's, 0 otherwise; None if it has not."""
        text, signatures = opened(note)
        data = next((data for *of, data in signatures if of == [self.name, self.id]), b"")
        time, above = 0, ""
        if self.kind == WITNESS:
            time, data = int.from_bytes(data[:8], "big"), data[8:]
            above = f"cosignature/v1\ntime {time}\n"
        good = time <= (LATEST - EPOCH).total_seconds() and all_signed([(self.public, (above + text).encode(), data)])
        return time if good else None

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
        raise Wrong("-", f"the head of `{origin}` at {size} is not signed by {key.text}")
    return size, root

# --- What the entries themselves tell. Texts of times sort as the times do. ---
ANSWERS = {"recovery-point", "copy", "verification", "drill", "key-change", "pruned"}
def moment(text):
    time = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if time.tzinfo is None or time > LATEST:
        raise ValueError(f"`{text}` is not a time like 2026-01-31T04:00:00Z")
    return time
def written(time):
    return time.astimezone(datetime.timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
def time_in(text):
    """This text, which must be a time as entries have them."""
    if written(moment(text)) != text:
        raise ValueError(f"`{text}` is not a time")
    return text
def parsed(data):
    """JSON that everybody reads alike: no key twice in an object, no half letters, no numbers without an end."""
    def once(pairs):
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key stands there twice")
        return dict(pairs)
    value = json.loads(data.decode(), object_pairs_hook=once)
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return value
def texts(values):
    """These values, which must be a list of texts."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("not texts")
    return values
def answered(entry):
    """The obligations that an entry answers."""
    if entry["fact"] == "people" and texts([entry["deed"]]) == ["attested"]:
        stated, outcome = texts(entry["statement"]["obligations"]), texts([entry["statement"]["outcome"]])
        return [] if outcome == ["declined"] else stated
    return texts(entry.get("obligations", [])) if entry["fact"] in ANSWERS else []

class Account:
    """Obligations without facts, silence, clocks set back, breaks."""
    def __init__(self):
        self.owed, self.gaps, self.behind = {}, [], False
        self.horizon = self.silent = self.latest = self.last = ""
    def note(self, number, entry):
        self.last, kind = time_in(entry["at"]), entry["fact"]
        self.reach(self.last)
        if self.last >= self.latest:
            self.latest, self.behind = self.last, False
        elif not self.behind and moment(self.latest) - moment(self.last) > datetime.timedelta(minutes=1):
            self.gaps.append(f"clock set back at entry {number}: from {self.latest} to {self.last}")
            self.behind = True
        self.owed.update((done, "") for done in answered(entry) if done in self.owed)
        if kind == "obligation-due":
            self.owed.setdefault(texts([entry["id"]])[0], time_in(entry["due"]))
        elif kind == "obligations-withdrawn":
            # What is withdrawn after it was due stays missed.
            for gone in texts(entry["obligations"]):
                if self.last <= self.owed.get(gone, ""):
                    del self.owed[gone]
        elif kind == "horizon":
            self.horizon = max(self.horizon, time_in(entry["until"]))
        elif kind == "break":
            self.gaps.append(f"break at entry {number}: {texts([entry['reason']])[0]}")
    def reach(self, at):
        """Up to the horizon nothing can be left out unseen; from there to the next one everything can."""
        if self.silent < self.horizon < at:
            self.gaps.append(f"silence from {self.horizon}")
            self.silent = self.horizon
    def close(self, until):
        self.reach(until or "")
        missed = sorted((due, name) for name, due in self.owed.items() if "" < due < self.last)
        return self.gaps + [f"obligation {name} was due {due} and has no fact" for due, name in missed]

# --- The export. ---
FORM = "vouchsafe-ledger-export/"
LONGEST = 4 * 2**20 + 1024
LINE = re.compile(rb'\{"seq":(0|[1-9][0-9]{0,19}),"leaf":"([0-9a-f]{64})","signature":"([A-Za-z0-9+/]{85}[AQgw]==)",'
                  rb'"entry":(.*)\}', re.DOTALL)

class Examination:
    """Goes through an export; raises Wrong at the first entry that is not what was signed."""
    def __init__(self, export, expected, heads, witnesses):
        header = parsed(export.readline(LONGEST))
        self.form, self.origin, self.first, self.stated = map(header.pop, ("format", "origin", "public_key", "size"))
        good = texts([self.form, self.origin, self.first]) and not header and self.form in (FORM + "1", FORM + "2")
        if not good or type(self.stated) is not int or not 0 <= self.stated < 2**64:
            raise Refused("this is not a ledger export of a form that is known here")
        self.expected = begin = Key(self.first if expected is None else expected)
        try:
            # The record may begin with an older key than the expected one: the one after which it is named.
            first = Key(self.first)
            if first.name == begin.name == "vouchsafe/" + hashlib.sha256(first.public).hexdigest()[:16]:
                begin = first
        except Refused:
            pass
        self.export, self.keys, self.witnesses = export, [begin], {text: Key(text, WITNESS) for text in witnesses}
        self.published, self.strange, self.met, self.stamped = {}, [], 0, {}
        for note in heads:
            self.published.setdefault(head_in(note)[1], []).append(note)
        self.tree, self.account, self.waiting, self.seen = Tree(), Account(), [], {}
    def run(self):
        try:
            self.meet()
            for line in iter(lambda: self.export.readline(LONGEST), b""):
                if not line.startswith(b'{"seq":'):
                    return self.end(line.rstrip(b"\n"))
                self.entry(line.rstrip(b"\n") if len(line) < LONGEST or line.endswith(b"\n") else b"")
            raise Wrong(self.tree.size, "the signed head is missing: the end was cut off")
        finally:
            # Whatever was found, an earlier entry may be wrong whose signature still waits.
            self.settle()
    def entry(self, line):
        place, parts, entry = self.tree.size, LINE.fullmatch(line), None
        if parts is None or int(parts[1]) != place:
            raise Wrong(place, "another line stands in its place" if parts else "its line has not the right form")
        leaf = hashlib.sha256(b"\x00" + parts[4]).digest()
        if leaf.hex().encode() != parts[2]:
            raise Wrong(place, "its bytes do not give the leaf hash beside them")
        try:
            read = parsed(parts[4])
            if repr(read["v"]) == "1" and texts([read[name] for name in ("at", "actor", "tool", "fact")]):
                if read["fact"] == "ledger-key-rotated":
                    self.rotate(place, read)
                entry = read
        except MALFORMED:
            pass
        self.tree.push(leaf)
        head = f"{self.keys[-1].name}\n{place + 1}\n{base64.b64encode(self.tree.roots[-1]).decode()}\n"
        self.waiting.append((self.keys[-1].public, head.encode(), base64.b64decode(parts[3])))
        if len(self.waiting) == 256:
            self.settle()
        self.meet()
        try:
            if entry["fact"] == "witnessed":
                self.witness(place, entry["witness"], entry["note"], (entry["tree_size"], entry["root"], entry["seen"]))
            elif entry["fact"] == "timestamped":
                self.stamp(place, entry)
            self.account.note(place, entry)
        except MALFORMED:
            raise Wrong(place, "it has not the form of an entry that this program knows") from None
    def settle(self):
        """Checks the signatures that wait."""
        bad = first_unsigned(self.waiting)
        if bad is not None:
            raise Wrong(self.tree.size - len(self.waiting) + bad, "it is not the one over which the head was signed")
        self.waiting = []
    def rotate(self, place, entry):
        """Another key signs from here on if both it and the one before have signed that, for this tree."""
        old, new, root = self.keys[-1], Key(entry["to"]), base64.b64encode(self.tree.roots[-1]).decode()
        text = f"vouchsafe-ledger-key/1\n{old.name}\n{place}\n{root}\n{old.text}\n{new.text}\n"
        stated = entry["from"], new.name, opened(entry["note"])[0]
        good = stated == (old.text, old.name, text) and new.public != old.public
        if not good or old.accepts(entry["note"]) is None or new.accepts(entry["note"]) is None:
            raise Wrong(place, "the change of the signing key is not signed by both keys")
        self.keys.append(new)
    def witness(self, place, text, note, stated=None):
        key, (origin, size, root) = Key(text, WITNESS), head_in(note)
        time = key.accepts(note)
        said = size, root.hex(), written(EPOCH + datetime.timedelta(seconds=time or 0))
        if time is None or origin != self.keys[0].name or repr(stated or said) != repr(said):
            raise Wrong(place, f"the witness {key.name} has not signed what is stated")
        if size > self.tree.size or root != self.tree.roots[size]:
            raise Wrong(place, f"the witness {key.name} has seen another record of {size} entries")
        if size >= self.seen.get(text, (0, 0))[0]:
            self.seen[text] = (size, time)
    def stamp(self, place, entry):
        """Whether a time stamp is genuine is not examined: that would need more than the standard library."""
        note, seen, who = texts([entry[name] for name in ("note", "seen", "authority")])
        imprint, second, fraction = STAMP.search(unbase64(entry["token"])).groups(b"")
        stamped, (origin, size, root) = (second + fraction.ljust(6, b"0"))[:20].decode(), head_in(note)
        good = imprint == hashlib.sha256(note.encode()).digest() and stamped == re.sub("[^0-9]", "", time_in(seen))
        good = good and origin == self.keys[0].name and any(key.accepts(note) is not None for key in self.keys)
        good = good and repr((size, root.hex())) == repr((entry["tree_size"], entry["root"])) and size <= self.tree.size
        if not good or root != self.tree.roots[size]:
            raise Wrong(place, "the time stamp is of another record, or not of what is stated")
        self.stamped[who] = max((size, seen), self.stamped.get(who, (0, "")))
    def is_ours(self, note):
        """Whether a head that was seen elsewhere is of this record; that one is not is told at the end."""
        try:
            return bool(read_head(note, self.keys[-1]))
        except Wrong as wrong:
            self.strange.append(wrong)
    def meet(self):
        """Holds the tree against the published heads of its size."""
        size = self.tree.size
        for note in filter(self.is_ours, self.published.pop(size, ())):
            if head_in(note)[2] != self.tree.roots[size]:
                raise Wrong(self.met, f"a head published at {size} entries has another root: the record was rewritten")
            self.met = size
            for text in [text for text, key in self.witnesses.items() if key.accepts(note) is not None]:
                self.witness("-", text, note)
    def end(self, line):
        size = self.tree.size
        try:
            note, = texts([json.loads(line.decode())["head"]])
        except MALFORMED:
            note = ""
        if line.decode(errors="replace") != f'{{"head":{json.dumps(note, ensure_ascii=False)}}}' or self.export.read(1):
            raise Wrong(size, "its line, or what follows the signed head, has not the right form")
        later = max([self.stated, *(n for n, notes in self.published.items() for note in notes if self.is_ours(note))])
        if later > size:
            raise Wrong(size, f"it is missing: {later} entries are spoken of")
        head, root = read_head(note, self.keys[-1])
        if head != size:
            raise Wrong(min(head, size), f"the signed head covers {head} entries")
        if root != self.tree.roots[size]:
            raise Wrong(self.met, "the signed head has another root")
        for wrong in self.strange:
            raise wrong
        if self.expected.text not in [key.text for key in self.keys] or self.first != self.keys[0].text:
            raise Wrong("-", "the expected key has not signed it")
        if (self.stated, self.origin, self.form) != (size, self.keys[0].name, FORM + "12"[len(self.keys) > 1]):
            raise Wrong("-", "the first line contradicts the rest")

def examine(options):
    heads = [open(name, encoding="utf-8", newline="").read() for name in options.head]
    with open(options.file, "rb") as export:
        found = Examination(export, options.key, heads, options.witness)
        found.run()
    told = [f"by a change of key signed by {key.text}" for key in found.keys[1:]]
    for text, (size, time) in found.seen.items():
        known = "" if text in found.witnesses else ", if this key is the witness's: give --witness"
        told.append(f"witnessed up to {size} entries at {EPOCH + datetime.timedelta(seconds=time)} by {text}{known}")
    for who, (size, seen) in found.stamped.items():
        told.append(f"stamped up to {size} entries at {seen} by {who}, if that is genuine: see openssl ts -verify")
    gaps = found.account.close(options.until and written(moment(options.until)))
    for line in told + ["! " + gap for gap in gaps]:
        # Without what would write over the lines of this program.
        print("".join(letter if letter.isprintable() else "\ufffd" for letter in line))
    print(f"{'gaps' if gaps else 'sound'} {found.tree.size}: every entry is what was signed")
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
        print("wrong {}: {}".format(*wrong.args))
        return 1
    except (OSError, *MALFORMED) as reason:
        print("refused: nothing was examined:", reason)
        return 2

if __name__ == "__main__":
    sys.exit(main())
