#!/usr/bin/env python3
"""An independent verifier of Sluice journals: `verify.py KEY FOLDER` verifies every journal directory in FOLDER.

`verify.py --stream` reads many from its standard input, each as its key and its files, and prints a line for each: of a
journal that is `bad` also the number of the first entry that is not the one that was written, where it can be told.
`verify.py --tiles KEY FOLDER` reads a directory of tiles as a client of c2sp.org/tlog-tiles does: with an inclusion proof
of every entry, made of tiles alone.
`verify.py --cosigned KEY FOLDER` looks for a witness's cosignature on every checkpoint in FOLDER, and prints its time.

It shares no code with Sluice and needs only the standard library. For each directory it prints its name and `good` or
`bad`. Of entries it decodes those alone that change the key: the tree and the signatures are over their bytes.
"""
import base64
import hashlib
import os
import re
import struct
import sys

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
TABLE = []
for n in range(256):
    for _ in range(8):
        n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
    TABLE.append(n)


class Bad(Exception):
    entry = None


def need(condition, what, entry=None):
    if not condition:
        bad = Bad(what)
        bad.entry = entry
        raise bad


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


# Ed25519 (RFC 8032, section 5.1), in extended coordinates.
def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(n, p):
    q = (0, 1, 1, 0)
    while n:
        if n & 1:
            q = add(q, p)
        p, n = add(p, p), n >> 1
    return q


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    need(y < P, "point")
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    need((x * x - xx) % P == 0 and not (x == 0 and sign), "point")
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed_by(key, text, signature, known={}):
    if (key, text, signature) not in known:
        try:
            r, s = point(signature[:32]), int.from_bytes(signature[32:], "little")
            h = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % L
            a, b = times(s, BASE), add(r, times(h, point(key)))
            equal = (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0
            known[key, text, signature] = len(signature) == 64 and s < L and equal
        except Bad:
            known[key, text, signature] = False
    return known[key, text, signature]


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root(edge):
    if not edge:
        return hashlib.sha256().digest()
    hashes = [h for _, h in edge]
    result = hashes.pop()
    while hashes:
        result = node(hashes.pop(), result)
    return result


def push(edge, payload):
    edge.append((1, hashlib.sha256(b"\0" + payload).digest()))
    while len(edge) > 1 and edge[-1][0] == edge[-2][0]:
        (size, right), (_, left) = edge.pop(), edge.pop()
        edge.append((2 * size, node(left, right)))


def parsed(verifier):
    """Name, key id and key of a journal's public key."""
    name, key_id, encoded = verifier.split(b"+", 2)
    blob = base64.b64decode(encoded, validate=True)
    need(blob[:1] == b"\1" and len(blob) == 33 and base64.b64encode(blob) == encoded, "key")
    need(hashlib.sha256(name + b"\n" + blob).digest()[:4].hex().encode() == key_id, "key id")
    return name, bytes.fromhex(key_id.decode()), blob[1:]


KEY_ROTATED = 22


def varint(data):
    value = shift = 0
    while True:
        byte, data = data[0], data[1:]
        value, shift = value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, data


def text(data):
    length, data = varint(data)
    return data[:length], data[length:]


def changes_key(payload):
    """What such an entry has behind its kind; None for any other entry."""
    if payload[:1] != b"\1":
        return None
    _, rest = varint(payload[1:])
    kind, rest = varint(rest)
    return rest if kind == KEY_ROTATED else None


def change(data):
    """What a segment's first entry says of the journal's keys; None for any other entry."""
    end = 32 + 32 * bin(struct.unpack_from("<Q", data, 8)[0]).count("1") + 4
    crc, index, size = struct.unpack_from("<IQH", data, end)
    covered = data[end + 4:end + 14 + size]
    if len(covered) != 10 + size or crc32c(covered) != crc:
        return None
    rest = changes_key(covered[10:])
    if rest is None:
        return None
    (old, rest), before = text(rest), index
    new, rest = text(rest)
    size, rest = varint(rest)
    head, rest = rest[:32], rest[32:]
    by_old, rest = text(rest)
    by_new, rest = text(rest)
    hashes = [data[at:at + 32] for at in range(32, end - 4, 32)]
    need(not rest and size == before and head == root([(0, h) for h in hashes]), "change of the key: place")
    (name, _, first), (other, _, second) = parsed(old), parsed(new)
    signed = b"sluice/key-rotation/v1\n%s\n%d\n%s\n%s\n%s\n" % (name, size, base64.b64encode(head), old, new)
    for key, signature in ((first, by_old), (second, by_new)):
        need(signed_by(key, signed, base64.b64decode(signature, validate=True)), "change of the key: signature")
    need(name == other and old != new, "change of the key: names")
    return index, old, new


def keys_of(files, segments, known):
    """The keys of a journal: from which index on, and the key."""
    found = []
    for entry in segments:
        try:
            changed = change(files[entry])
        except (IndexError, struct.error):
            changed = None
        if changed:
            index, old, new = changed
            need(not found or found[-1][1] == old, "change of the key: order")
            found += [(-1, old)] if not found else []
            found.append((index, new))
    return found if known in [key for _, key in found] else [(-1, known)]


def notes(data, keys):
    """The (size, root, note) of each note of a list."""
    found = []
    form = re.compile(rb"([^\n]+)\n(0|[1-9][0-9]*)\n([A-Za-z0-9+/]{43}=)\n\n\xe2\x80\x94 ([^ \n]+) ([A-Za-z0-9+/=]+)\n")
    while True:
        match = form.match(data)
        need(match, "malformed checkpoint")
        origin, size, head, signer, line = match.groups()
        blob = base64.b64decode(line, validate=True)
        verifier = [key for index, key in keys if index < int(size)][-1]
        name, key_id, key = parsed(verifier)
        need(base64.b64encode(blob) == line and base64.b64encode(base64.b64decode(head)) == head, "base64")
        need(origin == signer == name and blob[:4] == key_id and int(size) < 2**64, "another key")
        body = b"\n".join([origin, size, head]) + b"\n"
        need(signed_by(key, body, blob[4:]), "wrong signature")
        found.append((int(size), base64.b64decode(head), match.group(0)))
        data = data[match.end():]
        if not data:
            return found
        need(data[:1] == b"\n", "separator")
        data = data[1:]


def segment(data, first, edge, count, signed, previous, heads):
    """Checks one segment; returns how many entries there are after it, and how many of them are signed."""
    need(data[:8] == b"SLUICEJ\1" and len(data) >= 36, "magic", count)
    start, *before = struct.unpack_from("<QQQ", data, 8)
    end = 32 + 32 * bin(start).count("1")
    need(data[end:end + 4] == struct.pack("<I", crc32c(data[:end])), "header checksum", count)
    need(start == first, "misnamed segment", count)
    need(start <= count, "entries are missing", count)
    need(start >= count, "entries are repeated", start)
    need(before == previous, "segments do not follow each other", count)
    need(data[32:end] == b"".join(h for _, h in edge), "edge", signed)
    at = end + 4
    while at < len(data):
        need(len(data) - at > 14, "torn entry", count)
        crc, index, size = struct.unpack_from("<IQH", data, at)
        covered = data[at + 4:at + 14 + size]
        need(size and len(covered) == 10 + size and crc32c(covered) == crc and index == count, "entry", count)
        try:
            need(count == start or changes_key(covered[10:]) is None, "change of the key within a segment", count)
        except IndexError:
            pass  # no entry at all: no change either
        push(edge, covered[10:])
        count, at = count + 1, at + 14 + size
        if count in heads:
            need(all(head == root(edge) for head in heads[count]), "root", signed)
            signed = count
    return count, signed


def read(folder):
    return {entry: open(os.path.join(folder, entry), "rb").read() for entry in sorted(os.listdir(folder))}


def verify(files, known):
    segments = [entry for entry in files if re.fullmatch(r"\d{20}\.segment", entry)]
    lists = [entry for entry in files if re.fullmatch(r"\d{20}\.checkpoints", entry)]
    witnesses = {entry for entry in files if re.fullmatch(r"witness-[^.]+", entry)}
    unfinished = {f for f in files if f.endswith(".new")}
    need(set(files) - set(segments) - set(lists) - witnesses - unfinished <= {"checkpoint", "lock", "reserve"}, "stray file")
    keys, stored = keys_of(files, segments, known), []
    for entry in lists:
        found = notes(files[entry], keys)
        need(found[0][0] == int(entry[:20]), "misnamed list")
        stored += found
    need([s for s, _, _ in stored] == sorted(s for s, _, _ in stored), "checkpoints out of order")
    heads = {}
    for size, head, _ in stored:
        heads.setdefault(size, []).append(head)
    need(segments, "no journal")
    edge, count, signed, previous = [], 0, 0, [0, 0]
    need(all(head == root([]) for head in heads.get(0, [])), "root at 0")
    for entry in segments:
        count, signed = segment(files[entry], int(entry[:20]), edge, count, signed, previous, heads)
        previous = [int(entry[:20]), len(files[entry])]
    need(all(size <= count for size in heads), "entries are missing", count)
    if "checkpoint" in files:
        need(files["checkpoint"] in [note for _, _, note in stored[-2:]], "latest checkpoint")
    else:
        need(len(stored) <= 1, "latest checkpoint is missing")


def cosigned(note, name, key_id, key):
    """When the witness cosigned the note (c2sp.org/tlog-cosignature)."""
    text, lines = note.rsplit(b"\n\n", 1)
    for line in lines.splitlines():
        dash, signer, encoded = line.split(b" ")
        blob = base64.b64decode(encoded, validate=True)
        if dash == "\u2014".encode() and signer == name and blob[:4] == key_id:
            (time,) = struct.unpack(">Q", blob[4:12])
            need(signed_by(key, b"cosignature/v1\ntime %d\n%s\n" % (time, text), blob[12:]), "wrong cosignature")
            return time
    raise Bad("no cosignature")


def cosignatures(verifier, folder):
    name, key_id, encoded = verifier.split("+", 2)
    kind, key = base64.b64decode(encoded)[:1], base64.b64decode(encoded)[1:]
    name, key_id = name.encode(), bytes.fromhex(key_id)
    need(kind == b"\4" and hashlib.sha256(name + b"\n" + kind + key).digest()[:4] == key_id, "key")
    for case in sorted(os.listdir(folder)):
        try:
            print(case, cosigned(open(os.path.join(folder, case), "rb").read(), name, key_id, key))
        except (Bad, ValueError):
            print(case, "bad")


class Tiles:
    """A client of c2sp.org/tlog-tiles: hashes by level and index, out of whole and partial tiles."""

    def __init__(self, folder, size):
        self.folder, self.size, self.read = folder, size, {}

    def file(self, level, number):
        width = min(256, (self.size >> 8 * (level if level != "entries" else 0)) - 256 * number)
        parts = ["%03d" % (number % 1000)]
        while number >= 1000:
            number //= 1000
            parts.insert(0, "x%03d" % (number % 1000))
        parts[-1] += "" if width == 256 else ".p/%d" % width
        name = "/".join(["tile", str(level)] + parts)
        if name not in self.read:
            self.read[name] = open(os.path.join(self.folder, name), "rb").read()
        need(level == "entries" or len(self.read[name]) == 32 * width, name)
        return self.read[name]

    def subtree(self, height, index):
        """The root of the complete subtree of 2**height entries."""
        level, up = divmod(height, 8)
        if up:
            return node(self.subtree(height - 1, 2 * index), self.subtree(height - 1, 2 * index + 1))
        at = 32 * (index % 256)
        return self.file(level, index // 256)[at:at + 32]

    def over(self, begin, end):
        """The root over these entries, as RFC 6962 defines it."""
        if end - begin == 1 << (end - begin).bit_length() - 1 and begin % (end - begin) == 0:
            return self.subtree((end - begin).bit_length() - 1, begin // (end - begin))
        middle = begin + (1 << (end - begin - 1).bit_length() - 1)
        return node(self.over(begin, middle), self.over(middle, end))

    def included(self, index, leaf):
        """The root that the entry leads to, by its inclusion proof."""
        path, begin, end = [], 0, self.size
        while end - begin > 1:
            middle = begin + (1 << (end - begin - 1).bit_length() - 1)
            if index < middle:
                path.append((False, middle, end))
                end = middle
            else:
                path.append((True, begin, middle))
                begin = middle
        for is_left, a, b in reversed(path):
            other = self.over(a, b)
            leaf = node(other, leaf) if is_left else node(leaf, other)
        return leaf

    def entries(self):
        for number in range((self.size + 255) // 256):
            data = self.file("entries", number)
            while data:
                (length,) = struct.unpack_from(">H", data)
                need(length and len(data) >= 2 + length, "bundle")
                yield data[2:2 + length]
                data = data[2 + length:]


def tiles(verifier, folder):
    note = open(os.path.join(folder, "checkpoint"), "rb").read()
    ((size, head, _),) = notes(note, [(-1, verifier.encode())])
    client, count = Tiles(folder, size), 0
    need(client.over(0, size) == head, "root")
    for index, entry in enumerate(client.entries()):
        need(client.included(index, hashlib.sha256(b"\0" + entry).digest()) == head, "entry %d" % index)
        count += 1
    need(count == size, "entries")
    return size


def part(stream):
    (length,) = struct.unpack(">I", stream.read(4))
    return stream.read(length)


def stream(source):
    while source.peek(1):
        known, (count,) = part(source), struct.unpack(">I", source.read(4))
        files = {}
        for _ in range(count):
            name = part(source).decode()
            files[name] = part(source)
        try:
            verify(files, known)
            print("good")
        except Bad as bad:
            print("bad" if bad.entry is None else "bad %d" % bad.entry)
        except ValueError:
            print("bad")


def main():
    if sys.argv[1] == "--stream":
        return stream(sys.stdin.buffer)
    if sys.argv[1] == "--tiles":
        try:
            return print("good", tiles(sys.argv[2], sys.argv[3]))
        except (Bad, ValueError, OSError):
            return print("bad")
    if sys.argv[1] == "--cosigned":
        return cosignatures(sys.argv[2], sys.argv[3])
    for case in sorted(os.listdir(sys.argv[2])):
        try:
            verify(read(os.path.join(sys.argv[2], case)), sys.argv[1].encode())
            print(case, "good")
        except (Bad, ValueError) as error:
            print(case, "bad")


main()
