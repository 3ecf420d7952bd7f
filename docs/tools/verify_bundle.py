#!/usr/bin/env python3
"""Examines a bundle of evidence of Vouchsafe without Vouchsafe: Python's standard library is enough.

    verify_bundle.py [FOLDER] [--key VKEY] [--head FILE]...

FOLDER    where the bundle was unpacked; where this program lies if it is not named
--key     the ledger's public key, from the recovery sheet. Without it the key in the bundle is believed, which proves
          nothing about who made it.
--head    a head of the ledger that was seen elsewhere; handed on to verify_ledger.py.

Have this program, and verify_ledger.py beside it, from where you trust and not out of the bundle. It runs the one
beside it, and nothing that lies in FOLDER.

It checks that every file is the one that bundle.intoto.json names and the key has signed, that each statement is
signed, that each population has the rows, by their keys, that its query yields from ledger.export, and that each
sample is the one that its seed yields. Then it runs verify_ledger.py over ledger.export.

Whether a time stamp of an authority is genuine is not examined: for each N in timestamps/,
`openssl ts -verify -token_in -in N.token -data N.head -CAfile ROOT.pem` does so with the authority's root.

Queries and seeds, the other columns, and all that reports and statements say are what the owner of the key has signed:
nothing of that is computed again. Of the populations that are judged (duties, failures) each row must be in the record
and its period, and whether one is left out is not known.

The last line is the outcome, and the exit code says the same:
    sound    0  every file and the record are what was signed, and the rows are those of the record
    wrong    1  something is not; each is named above
    refused  2  not a bundle, or not a key: nothing was examined
"""
import argparse, base64, csv, hashlib, io, json, pathlib, subprocess, sys

BESIDE = pathlib.Path(__file__).resolve().parent
MALFORMED = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, csv.Error)
sys.dont_write_bytecode = True

class Refused(Exception):
    """Why nothing can be examined."""

def public_bytes(vkey):
    """The 32 bytes of the Ed25519 key in a C2SP vkey."""
    try:
        name, number, encoded = vkey.split("+", 2)
        typed = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise Refused("the key does not look like vouchsafe/0123…+89abcdef+AbCd…")
    digest = hashlib.sha256(name.encode() + b"\n" + typed).hexdigest()
    if len(typed) != 33 or typed[0] != 1 or digest[:8] != number:
        raise Refused("the key is damaged: its parts do not fit one another")
    return typed[1:]

class Examination:
    def __init__(self, folder, vkey, signed):
        self.folder, self.vkey, self.signed, self.wrong = folder, vkey, signed, []
        self.public = public_bytes(vkey)

    def note(self, text):
        self.wrong.append(text)
        print("✗", text)

    def tried(self, step):
        """What a step yields; None, and a note, where a file is not in the form that it reads."""
        try:
            return step()
        except MALFORMED as error:
            return self.note(f"a file is not in its form: {error!r}")

    def read(self, name):
        return (self.folder / name).read_bytes()

    def opened(self, name, line):
        """What a DSSE envelope holds, if the key has signed it; else None."""
        try:
            envelope = json.loads(line)
            body = base64.b64decode(envelope["payload"], validate=True)
            kind = envelope["payloadType"].encode()
            signatures = [base64.b64decode(s["sig"], validate=True) for s in envelope["signatures"]]
        except MALFORMED:
            return self.note(f"{name}: not an envelope")
        message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)
        if not any(self.signed([(self.public, message, signature)]) for signature in signatures):
            return self.note(f"{name}: not signed by this key")
        return json.loads(body)

    def files(self):
        """Every file is named and is what it was; nothing else lies there."""
        statement = self.opened("bundle.intoto.json", self.read("bundle.intoto.json"))
        if statement is None:
            return None
        named = {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
        for name, digest in sorted(named.items()):
            path = self.folder / name
            if not path.is_file():
                self.note(f"{name}: missing")
            elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                self.note(f"{name}: not the file that was signed")
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and name not in named and name != "bundle.intoto.json":
                self.note(f"{name}: not part of the bundle")
        print(f"{len(named)} files held against their signed digests")
        return statement["predicate"]

    def statements(self):
        lines = self.read("statements.intoto.jsonl").splitlines()
        good = [self.opened(f"statements.intoto.jsonl, line {n}", line) for n, line in enumerate(lines, 1)]
        print(f"{len([s for s in good if s])} of {len(lines)} statements signed by this key")

    def entries(self):
        """Each entry of the export with its place, as JSON."""
        for line in self.read("ledger.export").decode().split("\n"):
            value = json.loads(line) if line else {}
            if "entry" in value:
                yield value["seq"], value["entry"]

    def stamps(self):
        """The time stamps that lie beside the record are those of its entries."""
        tokens = sorted((self.folder / "timestamps").glob("*.token"))
        entries = dict(self.entries()) if tokens else {}
        for path in tokens:
            entry = entries.get(int(path.stem), {})
            held = entry.get("token", "").encode(), entry.get("note", "").encode()
            if held != (base64.b64encode(path.read_bytes()), path.with_suffix(".head").read_bytes()):
                self.note(f"timestamps/{path.name}: not the time stamp of that entry")
        if tokens:
            print(f"{len(tokens)} time stamps are those of the record; openssl ts -verify tells whether they are genuine")

    def populations(self, ledger):
        entries = list(self.entries())
        tables, judged = {}, 0
        for head in json.loads(self.read("populations.json")):
            name, text = head["name"], self.read(head["file"])
            if hashlib.sha256(text).hexdigest() != head["sha256"]:
                self.note(f"population {name}: not the rows that populations.json names")
            if (head["ledger_size"], head["ledger_root"]) != (ledger["size"], ledger["root"]):
                self.note(f"population {name}: frozen under another head")
            keys = [row[0] for row in csv.reader(io.StringIO(text.decode(), newline=""))][1:]
            tables[name] = keys
            expected, select = self.yielded(entries, head), head["select"]
            if len(keys) != head["rows"]:
                self.note(f"population {name}: {len(keys)} rows, and {head['rows']} are named")
            if select.get("judged"):
                judged += 1
                strange = [key for key in keys if key not in expected and key.split(".")[0] not in expected]
                if strange:
                    self.note(f"population {name}: {strange[0]} is not in the record's period")
            elif sorted(keys) != sorted(expected):
                odd = sorted(set(keys) ^ set(expected))
                counts = f"the record yields {len(expected)} rows, not {len(keys)}"
                self.note(f"population {name}: {counts}; first at {odd[:1]}")
        print(f"{len(tables) - judged} populations counted from the record, {judged} judged ones have no other rows")
        return tables

    def yielded(self, entries, head):
        """The keys of the rows that a population's query yields."""
        select, keys = head["select"], []
        for seq, entry in entries[: head["ledger_size"]]:
            time = entry.get(select["time"], "")
            if entry["fact"] not in select["facts"] or not head["from"] <= time < head["to"]:
                continue
            if entry["at"] > head["as_of"]:
                continue
            if select.get("each"):
                keys += [f"{seq}.{n}" for n in range(len(entry[select["each"]]))]
            elif select.get("unique"):
                key = entry[select["unique"]]
                keys += [] if key in keys[-1:] else [key]
            else:
                keys.append(str(seq))
        return sorted(set(keys)) if select.get("unique") else keys

    def samples(self, tables):
        samples = json.loads(self.read("samples.json"))
        for sample in samples:
            name = sample["population"]
            def ticket(key):
                text = "\n".join(["vouchsafe-sample/1", sample["seed"], name, key])
                return hashlib.sha256(text.encode()).hexdigest()
            drawn = sorted(tables.get(name, []), key=ticket)[: len(sample["keys"])]
            if sorted(drawn) != sorted(sample["keys"]):
                self.note(f"sample of {name}: not the one that its seed yields")
        print(f"{len(samples)} samples drawn again")

    def record(self, heads, ledger):
        program = [sys.executable, "-I", str(BESIDE / "verify_ledger.py"), str(self.folder / "ledger.export")]
        program += ["--key", self.vkey] + [part for head in heads for part in ("--head", head)]
        done = subprocess.run(program, stdout=subprocess.PIPE, universal_newlines=True)
        print(done.stdout, end="")
        if done.returncode != 0:
            self.note("ledger.export: not the record that was signed")
        head = json.loads(self.read("ledger.export").splitlines()[-1])["head"].split("\n")
        root = base64.b64decode(head[2]).hex()
        if (int(head[1]), root) != (ledger["size"], ledger["root"]):
            self.note("ledger.export: not under the head that the report speaks of")

def examine(options):
    folder = pathlib.Path(options.folder) if options.folder else BESIDE
    for path in (folder / "bundle.intoto.json", folder / "ledger.vkey", BESIDE / "verify_ledger.py"):
        if not path.is_file():
            raise Refused(f"{path} is not there")
    vkey = options.key or (folder / "ledger.vkey").read_text().strip()
    if not options.key:
        print("! the key was taken from the bundle itself: give --key to hold it against the recovery sheet")
    sys.path.insert(0, str(BESIDE))
    import verify_ledger
    found = Examination(folder, vkey, verify_ledger.all_signed)
    predicate = found.tried(found.files)
    if predicate is not None:
        found.tried(found.statements)
        found.tried(found.stamps)
        found.tried(lambda: found.samples(found.populations(predicate["ledger"])))
        found.tried(lambda: found.record(options.head, predicate["ledger"]))
    return found.wrong

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", nargs="?")
    parser.add_argument("--key")
    parser.add_argument("--head", action="append", default=[])
    sys.stdout.reconfigure(errors="backslashreplace")
    options = parser.parse_args()
    try:
        wrong = examine(options)
    except (Refused, OSError, ValueError) as reason:
        print("refused:", reason)
        return 2
    whose = "" if options.key else ", by a key that the bundle itself names"
    print(f"wrong: {len(wrong)} found" if wrong else f"sound: everything is what was signed{whose}")
    return 1 if wrong else 0

if __name__ == "__main__":
    sys.exit(main())
