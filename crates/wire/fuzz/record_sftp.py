"""Records what OpenSSH's client and server say to each other by SFTP, as seeds for the fuzz targets.

    python3 record_sftp.py SFTP_SERVER SEEDS

SFTP_SERVER is OpenSSH's sftp-server, which needs no sshd. It writes both sides of one session of the program `sftp` as
SEEDS/sftp_requests/openssh and SEEDS/sftp_responses/openssh, and of the extensions that `sftp` does not use as `others`.
The targets take a byte of their own in front of the stream (bodies.rs), which is written here as well.
"""

import pathlib
import struct
import subprocess
import sys
import tempfile

BATCH = """
pwd
mkdir one
put -f -p small one/small
cd one
ls -l
df .
chmod 640 small
chmod -h 600 small
chown 0 small
ln small hard
ln -s small soft
ls -l soft
cp small copied
rename small renamed
get -p renamed fetched
get missing
rm renamed
rm hard
rm soft
rm copied
cd ..
rmdir one
ls one
"""

RECORDER = """#!/bin/sh
exec 3>&1
tee {requests} | {server} -d {folder} | tee {responses} >&3
"""


def string(text):
    return struct.pack(">I", len(text)) + text


def packet(kind, body):
    return struct.pack(">IB", len(body) + 1, kind) + body


def extended(number, name, body=b""):
    return packet(200, struct.pack(">I", number) + string(name) + body)


def others():
    """Handles of sftp-server count from 0."""
    first, second = string(struct.pack(">I", 0)), string(struct.pack(">I", 1))
    nothing = struct.pack(">I", 0)
    yield packet(1, struct.pack(">I", 3))
    yield extended(1, b"limits@openssh.com")
    yield extended(2, b"expand-path@openssh.com", string(b"~/x"))
    yield extended(3, b"home-directory", string(b"root"))
    yield extended(4, b"users-groups-by-id@openssh.com", string(struct.pack(">II", 0, 1)) + string(struct.pack(">I", 0)))
    yield packet(3, struct.pack(">I", 5) + string(b"small") + struct.pack(">I", 1) + nothing)
    yield packet(3, struct.pack(">I", 6) + string(b"copy") + struct.pack(">I", 0x1A) + nothing)
    yield extended(7, b"copy-data", first + struct.pack(">QQ", 0, 0) + second + struct.pack(">Q", 0))
    yield extended(8, b"fsync@openssh.com", second)
    yield extended(9, b"fstatvfs@openssh.com", second)
    yield extended(10, b"hardlink@openssh.com", string(b"copy") + string(b"again"))
    yield extended(11, b"posix-rename@openssh.com", string(b"again") + string(b"copy"))
    yield extended(12, b"unknown@example.com", b"anything")
    yield packet(8, struct.pack(">I", 13) + first)
    yield packet(10, struct.pack(">I", 14) + second + struct.pack(">IQ", 1, 3))
    yield packet(19, struct.pack(">I", 15) + string(b"small"))
    yield packet(18, struct.pack(">I", 16) + string(b"copy") + string(b"small"))
    yield packet(5, struct.pack(">I", 17) + first + struct.pack(">QI", 0, 100))
    yield packet(5, struct.pack(">I", 18) + first + struct.pack(">QI", 100, 100))
    yield packet(4, struct.pack(">I", 19) + first)
    yield packet(4, struct.pack(">I", 20) + second)


def answers(server):
    """One at a time: at the end of what it reads, sftp-server drops the answers that it has not written."""
    with subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        for asked in others():
            running.stdin.write(asked)
            running.stdin.flush()
            word = running.stdout.read(4)
            yield word + running.stdout.read(int.from_bytes(word, "big"))
        running.stdin.close()


def main(server, seeds):
    with tempfile.TemporaryDirectory(prefix="files-") as folder, tempfile.TemporaryDirectory() as notes:
        folder, notes = pathlib.Path(folder), pathlib.Path(notes)
        (folder / "small").write_bytes(b"a file of a few words\n")
        paths = {kind: notes / kind for kind in ("requests", "responses")}
        wrapper = notes / "server"
        wrapper.write_text(RECORDER.format(server=server, folder=folder, **paths))
        wrapper.chmod(0o755)
        batch = "".join(f"-{line}\n" for line in BATCH.split("\n") if line)
        subprocess.run(["sftp", "-D", wrapper, "-b", "-"], input=batch.encode(), cwd=folder, check=True)
        keep(seeds, "openssh", paths["requests"].read_bytes(), paths["responses"].read_bytes())
        keep(seeds, "others", b"".join(others()), b"".join(answers([server, "-d", folder])))


def keep(seeds, name, asked, answered):
    for kind, said in (("sftp_requests", asked), ("sftp_responses", answered)):
        folder = pathlib.Path(seeds, kind)
        folder.mkdir(parents=True, exist_ok=True)
        folder.joinpath(name).write_bytes(b"\x40" + said)


main(sys.argv[1], sys.argv[2])
