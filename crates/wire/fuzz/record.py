"""Records what real drivers and a real server say to each other, as seeds for the fuzz targets.

    python3 record.py SERVER_PORT SEEDS -- COMMAND...

It listens on a free port of 127.0.0.1, runs COMMAND with PGHOST and PGPORT pointing there and PGSSLMODE=disable, and
writes what each connection's two sides sent under SEEDS/startup, SEEDS/frontend and SEEDS/backend, and each statement
under SEEDS/analyse, which belongs to the crate `effects`. The targets take a byte of their own in front of the stream
(bodies.rs), which is written here as well. Answers are cut at 8 KiB.
"""

import hashlib
import os
import pathlib
import socket
import subprocess
import sys
import threading

LONGEST = 8192


def keep(seeds, kind, data):
    folder = pathlib.Path(seeds, kind)
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(data).hexdigest()[:16]
    folder.joinpath(name).write_bytes(data)


def statements(said):
    while len(said) >= 5:
        body = said[5 : 1 + int.from_bytes(said[1:5], "big")]
        if said[:1] == b"Q":
            yield body.rstrip(b"\0")
        if said[:1] == b"P":
            yield body.split(b"\0")[1]
        said = said[5 + len(body) :]


def copy(source, sink, seen):
    while data := source.recv(65536):
        seen.extend(data)
        sink.sendall(data)
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def connection(client, server_port, seeds):
    server = socket.create_connection(("127.0.0.1", server_port))
    said, answered = bytearray(), bytearray()
    back = threading.Thread(target=copy, args=(server, client, answered))
    back.start()
    copy(client, server, said)
    back.join()
    first = int.from_bytes(said[:4], "big")
    keep(seeds, "startup", b"\0" + said[:first])
    # Behind the login: after the answer's first ReadyForQuery nothing is about passwords any more.
    ready = answered.find(b"Z\0\0\0\x05")
    rest = bytes(said[first:])
    while rest[:1] == b"p":
        rest = rest[1 + int.from_bytes(rest[1:5], "big"):]
    if rest:
        keep(seeds, "frontend", b"\0" + rest[:LONGEST])
        for text in statements(rest):
            keep(seeds, "analyse", text)
    if ready >= 0 and len(answered) > ready + 6:
        keep(seeds, "backend", b"\x03\0\0\0" + bytes(answered[ready + 6:])[:LONGEST])


def main():
    server_port, seeds, command = int(sys.argv[1]), sys.argv[2], sys.argv[4:]
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def serve():
        while True:
            client, _ = listener.accept()
            thread = threading.Thread(target=connection, args=(client, server_port, seeds))
            thread.start()
            threads.append(thread)

    threading.Thread(target=serve, daemon=True).start()
    environment = os.environ | {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(listener.getsockname()[1]),
        "PGSSLMODE": "disable",
        "PGGSSENCMODE": "disable",
    }
    status = subprocess.run(command, env=environment, check=False).returncode
    for thread in threads:
        thread.join(5)
    sys.exit(status)


main()
