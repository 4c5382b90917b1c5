#!/usr/bin/env python3
"""An independent verifier of Sluice journals: `verify.py KEY FOLDER` verifies every journal directory in FOLDER.

It shares no code with Sluice and needs only the standard library. For each directory it prints its name and `good` or
`bad`. It does not decode entries: the tree and the signatures are over their bytes.
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
    pass


def need(condition, what):
    if not condition:
        raise Bad(what)


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
    if (text, signature) not in known:
        try:
            r, s = point(signature[:32]), int.from_bytes(signature[32:], "little")
            h = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % L
            a, b = times(s, BASE), add(r, times(h, point(key)))
            equal = (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0
            known[text, signature] = len(signature) == 64 and s < L and equal
        except Bad:
            known[text, signature] = False
    return known[text, signature]


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


def notes(data, name, key_id, key):
    """The (size, root, note) of each note of a list."""
    found = []
    form = re.compile(rb"([^\n]+)\n(0|[1-9][0-9]*)\n([A-Za-z0-9+/]{43}=)\n\n\xe2\x80\x94 ([^ \n]+) ([A-Za-z0-9+/=]+)\n")
    while True:
        match = form.match(data)
        need(match, "malformed checkpoint")
        origin, size, head, signer, line = match.groups()
        blob = base64.b64decode(line, validate=True)
        need(base64.b64encode(blob) == line and base64.b64encode(base64.b64decode(head)) == head, "base64")
        need(origin == signer == name and blob[:4] == key_id and int(size) < 2**64, "another key")
        text = b"\n".join([origin, size, head]) + b"\n"
        need(signed_by(key, text, blob[4:]), "wrong signature")
        found.append((int(size), base64.b64decode(head), match.group(0)))
        data = data[match.end():]
        if not data:
            return found
        need(data[:1] == b"\n", "separator")
        data = data[1:]


def segment(data, first, edge, count, previous, heads):
    """Checks one segment and returns how many entries there are after it."""
    need(data[:8] == b"SLUICEJ\1" and len(data) >= 36, "magic")
    start, *before = struct.unpack_from("<QQQ", data, 8)
    end = 32 + 32 * bin(start).count("1")
    need(data[end:end + 4] == struct.pack("<I", crc32c(data[:end])), "header checksum")
    need(start == first == count and before == previous, "segments do not follow each other")
    need(data[32:end] == b"".join(h for _, h in edge), "edge")
    at = end + 4
    while at < len(data):
        need(len(data) - at > 14, "torn entry")
        crc, index, size = struct.unpack_from("<IQH", data, at)
        covered = data[at + 4:at + 14 + size]
        need(size and len(covered) == 10 + size and crc32c(covered) == crc and index == count, f"entry {count}")
        push(edge, covered[10:])
        count, at = count + 1, at + 14 + size
        need(all(head == root(edge) for head in heads.get(count, [])), f"root at {count}")
    return count


def verify(folder, name, key_id, key):
    files = {entry: open(os.path.join(folder, entry), "rb").read() for entry in sorted(os.listdir(folder))}
    segments = [entry for entry in files if re.fullmatch(r"\d{20}\.segment", entry)]
    lists = [entry for entry in files if re.fullmatch(r"\d{20}\.checkpoints", entry)]
    need(set(files) - set(segments) - set(lists) <= {"checkpoint", "lock", "reserve", "reserve.new"}, "stray file")
    stored = []
    for entry in lists:
        found = notes(files[entry], name, key_id, key)
        need(found[0][0] == int(entry[:20]), "misnamed list")
        stored += found
    need([s for s, _, _ in stored] == sorted(s for s, _, _ in stored), "checkpoints out of order")
    heads = {}
    for size, head, _ in stored:
        heads.setdefault(size, []).append(head)
    need(segments, "no journal")
    edge, count, previous = [], 0, [0, 0]
    need(all(head == root([]) for head in heads.get(0, [])), "root at 0")
    for entry in segments:
        count = segment(files[entry], int(entry[:20]), edge, count, previous, heads)
        previous = [int(entry[:20]), len(files[entry])]
    need(all(size <= count for size in heads), "entries are missing")
    if "checkpoint" in files:
        need(files["checkpoint"] in [note for _, _, note in stored[-2:]], "latest checkpoint")
    else:
        need(len(stored) <= 1, "latest checkpoint is missing")


def main():
    name, key_id, encoded = sys.argv[1].split("+", 2)
    key = base64.b64decode(encoded)[1:]
    for case in sorted(os.listdir(sys.argv[2])):
        try:
            verify(os.path.join(sys.argv[2], case), name.encode(), bytes.fromhex(key_id), key)
            print(case, "good")
        except (Bad, ValueError) as error:
            print(case, "bad")


main()
