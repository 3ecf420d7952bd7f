#!/usr/bin/env python3
"""Checks, decrypts and joins a stream of log fragments, as docs/format.md describes them, without Vouchsafe.

Usage: read_log_fragments.py KEY_FILE PASSPHRASE_FILE STREAM_FOLDER OUTPUT_FOLDER

KEY_FILE is one of `<vault>/repo/keys`, STREAM_FOLDER one of `<vault>/logs`.
It needs the package `cryptography` (Debian: python3-cryptography) and the program `zstd`.
All objects are examined before anything is written. It prints a line for each file written, then `sound N` for N
fragments; otherwise `refused: ` and the reason, and exits with 1.
"""
import base64
import hashlib
import hmac
import json
import pathlib
import struct
import subprocess
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.poly1305 import Poly1305

class Refused(Exception): """The reason why nothing is written."""

def need(condition, reason):
    if not condition:
        raise Refused(reason)

# The master key, out of restic's key file.
def master_key(file, passphrase):
    key_file = json.loads(file)
    cost = {"n": key_file["N"], "r": key_file["r"], "p": key_file["p"]}
    salt = base64.b64decode(key_file["salt"])
    derived = hashlib.scrypt(passphrase, salt=salt, maxmem=2**31 - 1, dklen=64, **cost)
    # Sealed as restic seals all else: 16 bytes of IV, AES-256-CTR, 16 bytes of Poly1305-AES.
    sealed = base64.b64decode(key_file["data"])
    iv, body, code = sealed[:16], sealed[16:-16], sealed[-16:]
    one_block = Cipher(algorithms.AES(derived[32:48]), modes.ECB()).encryptor()
    try:
        Poly1305.verify_tag(derived[48:64] + one_block.update(iv), body, code)
    except InvalidSignature:
        raise Refused("wrong passphrase for this key file") from None
    inner = Cipher(algorithms.AES(derived[:32]), modes.CTR(iv)).decryptor().update(body)
    return base64.b64decode(json.loads(inner)["encrypt"])

# The keys of log objects.
def mac(key, *parts):
    return hmac.digest(key, b"".join(parts), "sha256")

def expand(key, *info):
    return mac(key, *info, b"\x01")

# One object, a fragment or a segment: its header, its table of fragments, and the chain through them.
class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        size = struct.calcsize("<" + form)
        need(self.at + size <= len(self.data), "has a header or a table that is too short")
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += size
        return values if len(values) > 1 else values[0]

class Object:
    def __init__(self, root, path):
        self.path, data = path, path.read_bytes()
        need(data[:8] == b"VchsfLog", "is no log object")
        need(data[8:9] == b"\x01", "has a format version that is not described here: use that version's script")
        need(len(data) >= 80, "is too short")
        kind, header_size, payload_size = struct.unpack_from("<BHI", data, 9)
        key_id, stream_id, salt = data[16:32], data[32:48], data[48:80]
        self.end_of_header = 80 + header_size
        need(len(data) == self.end_of_header + payload_size, "has another length than it says")
        need(key_id == expand(root, b"key id")[:16], "is sealed with another vault's key")
        self.key = mac(salt, expand(root, b"stream key", stream_id))
        self.read_header(self.open(b"header", data, 80, self.end_of_header))
        need(stream_id == expand(root, b"stream id", self.name)[:16], "is of another stream")
        folder, last = ("fragments", "") if kind == 1 else ("segments", f"-{self.first + self.count - 1:020}")
        expected = f"{stream_id.hex()}/{folder}/{self.first:020}{last}"
        need("/".join(path.parts[-3:]) == expected, f"was put where it does not belong, which is {expected}")
        self.check(kind, data)

    def open(self, part, data, begin, end):
        try:
            return AESGCM(expand(self.key, part)).decrypt(bytes(12), data[begin:end], data[:begin])
        except InvalidTag:
            raise Refused(f"is damaged or forged ({part.decode()})") from None

    def read_header(self, plain):
        reader = Reader(plain)
        self.compressed, self.length, self.first, self.count = reader.take("BIQI")
        *self.epochs, self.timeline, self.positions = reader.take("QQQB")
        self.span, self.commits, self.digests = reader.take("4Q"), reader.take("Bqq"), reader.take("32s32s")
        self.name = plain[reader.at :]
        reader.take(f"{reader.take('B')}s"), reader.take(f"{reader.take('B')}s")
        need(reader.at == len(plain), "has a header that is too long")
        need(self.compressed in (0, 1) and self.positions in (1, 2, 3), "has a header that is not known here")
        need((self.first == 0) == (self.digests[0] == bytes(32)), "lacks a predecessor, or has one as the first")

    def payload(self, data):
        plain = self.open(b"payload", data, self.end_of_header, len(data))
        if self.compressed:
            done = subprocess.run(["zstd", "-dcq"], input=plain, stdout=subprocess.PIPE, check=False)
            need(done.returncode == 0, "does not decompress")
            plain = done.stdout
        need(len(plain) == self.length, "does not hold as many bytes as its header says")
        return plain

    def check(self, kind, data):
        """Follows the chain through all fragments: `digests_at` are its digests before each place and at the end."""
        reader = Reader(self.payload(data))
        if kind == 1:
            need(self.count == 1, "is a fragment and holds several")
            self.table = [(self.epochs[0], self.length, self.span, self.commits)]
        else:
            self.table = [(*reader.take("QI"), reader.take("4Q"), reader.take("Bqq")) for _ in range(self.count)]
        self.log_at, digest, place = reader.at, self.digests[0], self.span[:2]
        self.digests_at = {self.first: digest}
        for sequence, (epoch, length, span, commits) in enumerate(self.table, self.first):
            within = span[0] == span[2] and span[3] - span[1] == length
            to_its_end = self.positions == 2 and span[2:] == (span[0] + 1, 0)
            need(self.positions == 3 or within or to_its_end, f"has fragment {sequence} that does not fit its bytes")
            need(span[:2] == place, f"has fragment {sequence} that does not go on where the one before it ends")
            log = hashlib.sha256(reader.take(f"{length}s")).digest()
            fields = struct.pack("<QQBQI4QBqq", sequence, self.timeline, self.positions, epoch, length, *span, *commits)
            digest = hashlib.sha256(b"vouchsafe-log-chain-1" + digest + self.name + fields + log).digest()
            place, self.digests_at[sequence + 1] = span[2:], digest
        found = (reader.at, place, digest, [self.table[0][0], self.table[-1][0]])
        need(found == (self.length, self.span[2:], self.digests[1], self.epochs), "does not hold what its header says")

    def logs(self):
        """Each fragment's place, positions and log."""
        payload, at = self.payload(self.path.read_bytes()), self.log_at
        for sequence, (_, length, span, _) in enumerate(self.table, self.first):
            yield sequence, span, payload[at : at + length]
            at += length

def way(objects):
    """From the first place of a stream to the last, each time by the object that leads farthest."""
    need(objects, "there are no log objects")
    digests = {}
    for place, digest in (item for one in objects for item in one.digests_at.items()):
        need(digests.setdefault(place, digest) == digest, f"fork: there are two chains up to fragment {place - 1}")
    place, steps = min(digests), []
    while place < max(digests):
        ahead = [one for one in objects if one.first <= place < one.first + one.count]
        need(ahead, f"fragment {place} is missing")
        steps.append((place, max(ahead, key=lambda one: one.first + one.count)))
        place = steps[-1][1].first + steps[-1][1].count
    return steps, place - min(digests)

def write(steps, output):
    """A file for each timeline, and for each file of a log in files. What was shipped twice is compared, where
    positions count bytes; where they do not, it is written twice."""
    files, reached = {}, {}
    for place, one in steps:
        for sequence, span, log in one.logs():
            if sequence < place:
                continue
            before = reached.setdefault(one.timeline, span[:2])
            need(span[:2] <= before, f"fragment {sequence} leaves out positions before it")
            reached[one.timeline] = max(before, span[2:])
            name = f"timeline-{one.timeline}" + (f"-file-{span[0]}" if one.positions == 2 else "")
            if name not in files:
                files[name] = open(output / name, "x+b"), span[1]
            file, begin = files[name]
            need(begin <= span[1], f"fragment {sequence} goes back to before the first one")
            file.seek(*((0, 2) if one.positions == 3 else (span[1] - begin, 0)))
            there = file.read(len(log))
            need(log.startswith(there), f"fragment {sequence} repeats positions with other bytes")
            file.write(log[len(there) :])
    for name, (file, begin) in files.items():
        file.close()
        print(f"{output / name}: from position {begin}")

def main(key_file, passphrase_file, stream, output):
    passphrase = pathlib.Path(passphrase_file).read_bytes().strip()
    root = mac(b"vouchsafe-log-1", master_key(pathlib.Path(key_file).read_bytes(), passphrase))
    objects = []
    for path in sorted(pathlib.Path(stream).resolve().glob("*/*")):
        try:
            objects.append(Object(root, path))
        except Refused as reason:
            raise Refused(f"{path}: {reason}") from None
    steps, count = way(objects)
    pathlib.Path(output).mkdir()
    write(steps, pathlib.Path(output))
    print("sound", count)

if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except Refused as reason:
        print(f"refused: {reason}")
        sys.exit(1)
