"""A client of SSH as people write it with paramiko: see crates/testkit/src/ssh/programs.rs for what it is run with.

It prints one JSON object: {"scenario": result}, with nothing in it that depends on the address. A scenario that the library
does not offer is {"unsupported": "why"}. Any exception that is no result ends the program with a traceback and status 1.
This holds for the programs of every language.
"""

import concurrent.futures
import hashlib
import json
import os
import socket
import stat
import sys
import threading

import paramiko

HOST, PORT, USER = os.environ["SLUICE_HOST"], int(os.environ["SLUICE_PORT"]), os.environ["SLUICE_USER"]
FOLDER, ECHO = os.environ["SLUICE_FOLDER"] + "/paramiko", int(os.environ["SLUICE_ECHO"])
LIMIT = 60
LARGE = bytes(index * 7 % 251 for index in range(1 << 20))


def connected():
    client = paramiko.SSHClient()
    client.load_host_keys(os.environ["SLUICE_KNOWN_HOSTS"])
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    credential = {"password": os.environ.get("SLUICE_TOKEN")}
    if "SLUICE_KEY" in os.environ:
        key = paramiko.Ed25519Key.from_private_key_file(os.environ["SLUICE_KEY"])
        if "SLUICE_CERTIFICATE" in os.environ:
            key.load_certificate(os.environ["SLUICE_CERTIFICATE"])
        credential = {"pkey": key}
    client.connect(HOST, PORT, USER, allow_agent=False, look_for_keys=False, timeout=LIMIT, **credential)
    return client


def outcome(client, line, given=b"", environment=None):
    stdin, stdout, stderr = client.exec_command(line, timeout=LIMIT, environment=environment)
    stdin.write(given)
    stdin.channel.shutdown_write()
    out, err = stdout.read(), stderr.read()
    return {"stdout": out.decode(), "stderr": err.decode(), "status": stdout.channel.recv_exit_status()}


def terminal(client):
    channel = client.get_transport().open_session(timeout=LIMIT)
    channel.settimeout(LIMIT)
    channel.get_pty("xterm-256color", 97, 31)
    channel.invoke_shell()
    channel.sendall(b"stty -echo; echo rea''dy\n")
    line_until(channel, "ready")
    channel.sendall(b'echo "|$TERM $(stty size) e""nd"\n')
    first = line_until(channel, "end")
    channel.resize_pty(101, 41)
    channel.sendall(b'echo "|$(stty size) e""nd"\n')
    second = line_until(channel, "end")
    channel.sendall(b"exit 5\n")
    return first, second + f", status {channel.recv_exit_status()}"


def line_until(channel, end):
    """The line whose last word this is, without what stands before a bar: the shell's prompt."""
    shown = ""
    while f"{end}\r\n" not in shown:
        piece = channel.recv(4096)
        if not piece:
            raise EOFError(f"{end!r} does not come after {shown!r}")
        shown += piece.decode()
    return shown.split(f"{end}\r\n")[0].split("|")[-1].strip()


def files(client):
    sftp = client.open_sftp()
    sftp.mkdir(FOLDER)
    with sftp.open(FOLDER + "/a", "w") as file:
        file.write("first\n")
    with sftp.open(FOLDER + "/a", "a") as file:
        file.write("second\n")
    sftp.chmod(FOLDER + "/a", 0o640)
    sftp.rename(FOLDER + "/a", FOLDER + "/b")
    sftp.symlink("b", FOLDER + "/link")
    with sftp.open(FOLDER + "/link") as file:
        content = file.read().decode()
    status = sftp.stat(FOLDER + "/b")
    result = {
        "content": content,
        "size": status.st_size,
        "mode": oct(stat.S_IMODE(status.st_mode)),
        "names": sorted(sftp.listdir(FOLDER)),
        "link": sftp.readlink(FOLDER + "/link"),
    }
    with sftp.open(FOLDER + "/large", "w") as file:
        file.set_pipelined(True)
        file.write(LARGE)
    with sftp.open(FOLDER + "/large") as file:
        file.prefetch()
        large = hashlib.sha256(file.read()).hexdigest()
    for name in ("link", "b", "large"):
        sftp.remove(f"{FOLDER}/{name}")
    sftp.rmdir(FOLDER)
    try:
        sftp.open(FOLDER + "/none")
    except IOError as error:
        failure = os.strerror(error.errno)
    sftp.close()
    return result, failure, large


def echoed(channel, text):
    channel.settimeout(LIMIT)
    channel.sendall(text)
    channel.shutdown(socket.SHUT_WR)
    back = b""
    while piece := channel.recv(4096):
        back += piece
    channel.close()
    return back.decode()


def remote_forward(client):
    """The server listens, a program there connects, and this end answers."""
    transport = client.get_transport()
    port = transport.request_port_forward("127.0.0.1", 0)

    def answer():
        channel = transport.accept(LIMIT)
        channel.sendall(b"from " + channel.recv(100))
        channel.close()

    thread = threading.Thread(target=answer)
    thread.start()
    with socket.create_connection(("127.0.0.1", port), LIMIT) as connection:
        connection.sendall(b"afar")
        back = b""
        while piece := connection.recv(100):
            back += piece
    thread.join()
    transport.cancel_port_forward("127.0.0.1", port)
    return back.decode()


def main():
    client = connected()
    report = {"about": f"paramiko {paramiko.__version__}"}
    report["exec"] = outcome(client, "echo out; echo err >&2; exit 3")
    report["exec_signal"] = outcome(client, "kill -TERM $$")
    report["stdin"] = outcome(client, "sha256sum", LARGE)
    report["environment"] = outcome(client, 'echo "${SLUICE_PROBE-unset}"', environment={"SLUICE_PROBE": "set"})
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        lines = [f"cat; echo {number}; exit {number}" for number in range(20)]
        report["parallel"] = list(pool.map(lambda line: outcome(client, line, b"in "), lines))
    report["terminal"], report["resize"] = terminal(client)
    report["sftp"], report["sftp_failure"], report["sftp_large"] = files(client)
    direct = client.get_transport().open_channel("direct-tcpip", ("127.0.0.1", ECHO), ("127.0.0.1", 1), timeout=LIMIT)
    report["forward"] = echoed(direct, b"there and back")
    report["remote_forward"] = remote_forward(client)
    client.close()
    json.dump(report, sys.stdout)


main()
