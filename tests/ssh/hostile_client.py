"""A client of SSH that does what none may: see crates/sluice/tests/e2e_ssh/hostile.rs.

It prints one JSON object: {"scenario": result}. A connection that was ended by the server is "closed", and one that goes on
is "open".
"""

import base64
import concurrent.futures
import json
import os
import socket
import sys
import time

import paramiko
from paramiko.auth_handler import AuthHandler, AuthOnlyHandler
from paramiko.message import Message
from paramiko.transport import ServiceRequestingTransport

HOST, PORT, USER = os.environ["SLUICE_HOST"], int(os.environ["SLUICE_PORT"]), os.environ["SLUICE_USER"]
TOKEN = os.environ["SLUICE_TOKEN"]
OWN, VICTIM = os.environ["SLUICE_KEY"], os.environ["SLUICE_VICTIM"]
LIMIT = 20


# A client that does not use keyboard-interactive takes the answer to an offer (PK_OK) for one of its questions.
AuthHandler._parse_userauth_info_request = lambda self, message: None

# It makes what it waits by only once the request is sent, and would wait in vain for an answer that came before.
wait_for_response = AuthOnlyHandler.wait_for_response


def wait_for_answer(self, event):
    if self.authenticated or self.username is None:
        event.set()
    return wait_for_response(self, event)


AuthOnlyHandler.wait_for_response = wait_for_answer


def begun():
    transport = ServiceRequestingTransport(socket.create_connection((HOST, PORT), LIMIT))
    # The library gives up after 30 s, which a debug build on a busy machine may need.
    transport.auth_timeout = 120
    transport.start_client(timeout=LIMIT)
    return transport


def logged_in():
    transport = begun()
    transport.auth_password(USER, TOKEN)
    return transport


def message(number, *parts):
    built = Message()
    built.add_byte(bytes([number]))
    for part in parts:
        if isinstance(part, bool):
            built.add_boolean(part)
        elif isinstance(part, int):
            built.add_int(part)
        else:
            built.add_string(part)
    return built


def send(transport, *messages):
    try:
        for one in messages:
            transport._send_message(one)
    except (OSError, EOFError, paramiko.SSHException):
        pass


def state(transport, wait=LIMIT):
    """Waits for the end of the connection; a connection that is to go on is asked for something instead."""
    transport.join(wait)
    return "open" if transport.is_active() else "closed"


def answers(transport, line="echo on"):
    try:
        channel = transport.open_session(timeout=LIMIT)
        channel.settimeout(LIMIT)
        channel.exec_command(line)
        out = channel.makefile().read().decode()
        return [out, channel.recv_exit_status()]
    except (OSError, EOFError, paramiko.SSHException):
        return "nothing"


OPEN = message(90, "session", 0, 1 << 20, 1 << 15)
EXEC = message(98, 0, "exec", True, "touch hostile-was-here")


def before_a_login(*messages):
    transport = begun()
    # The service is there, and nobody has logged in.
    send(transport, *messages)
    return state(transport)


def success_from_the_client():
    return before_a_login(message(52), OPEN, EXEC)


def channel_before_a_login():
    return before_a_login(OPEN, EXEC)


def channel_before_a_login_after_the_service():
    return before_a_login(message(5, "ssh-userauth"), OPEN, EXEC)


def request_before_a_login():
    return before_a_login(message(98, 0, "exec", True, "touch hostile-was-here"))


def global_request_before_a_login():
    return before_a_login(message(80, "tcpip-forward", True, "127.0.0.1", 0))


def connection_service_before_a_login():
    return before_a_login(message(5, "ssh-connection"), OPEN, EXEC)


def answers_of_a_server():
    """Messages that only a server sends, before a login: of no login and no channel."""
    numbers = (6, 51, 60, 81, 91, 99)
    with concurrent.futures.ThreadPoolExecutor(len(numbers)) as pool:
        states = pool.map(lambda number: before_a_login(message(number, 0, 0, 0, 0)), numbers)
        return {str(number): state for number, state in zip(numbers, states)}


def login_again():
    """After a success, another login is nothing: the caller stays who it was."""
    transport = logged_in()
    again = message(50, "deploy%" + USER, "ssh-connection", "password", False, TOKEN)
    send(transport, again)
    time.sleep(0.5)
    return answers(transport, "echo $USER") if transport.is_active() else "closed"


def many_names():
    """Names that change between attempts leave one login: the last."""
    transport = begun()
    outcomes = []
    for user, method in (("deploy%" + USER, "none"), (USER, "wrong"), ("nobody%" + USER, "right"), (USER, "right")):
        try:
            if method == "none":
                transport.ensure_session()
                send(transport, message(50, user, "ssh-connection", "none"))
                time.sleep(0.3)
            else:
                transport.auth_password(user, TOKEN if method == "right" else "wrong", fallback=False)
            outcomes.append("in" if transport.is_authenticated() else "out")
        except paramiko.AuthenticationException:
            outcomes.append("out")
    return [outcomes, answers(transport, "echo $USER")]


def key(path):
    return paramiko.Ed25519Key.from_private_key_file(path)


def public_key(path):
    """What is on a line of a public key's file."""
    with open(path) as file:
        return base64.b64decode(file.read().split()[1])


def offered_and_another_signed():
    """The victim's key is offered without a signature; the own one signs (CVE-2024-45337)."""
    transport = begun()
    offer = message(50, USER, "ssh-connection", "publickey", False, "ssh-ed25519", public_key(VICTIM))
    transport.ensure_session()
    send(transport, offer)
    time.sleep(0.3)
    transport.auth_publickey(USER, key(OWN))
    return answers(transport)


def signed_by_another():
    """The victim's key with a signature by the own one."""
    transport = begun()
    own, victim = key(OWN), public_key(VICTIM)
    blob = Message()
    blob.add_string(transport.session_id)
    blob.add_byte(bytes([50]))
    for part in (USER, "ssh-connection", "publickey"):
        blob.add_string(part)
    blob.add_boolean(True)
    blob.add_string("ssh-ed25519")
    blob.add_string(victim)
    signature = own.sign_ssh_data(blob.asbytes(), "ssh-ed25519")
    forged = message(50, USER, "ssh-connection", "publickey", True, "ssh-ed25519", victim, signature.asbytes())
    transport.ensure_session()
    send(transport, forged, OPEN, EXEC)
    return state(transport)


def opened(transport, line):
    channel = transport.open_session(timeout=LIMIT)
    channel.settimeout(LIMIT)
    channel.exec_command(line)
    return channel


def window_overflow():
    """Sends without end where nobody reads, and looks at no window."""
    transport = logged_in()
    channel = opened(transport, "sleep 1000")
    piece = b"x" * 32000
    sent = 0
    try:
        while transport.is_active() and sent < 256 << 20:
            transport._send_message(message(94, channel.remote_chanid, piece))
            sent += len(piece)
    except (OSError, EOFError, paramiko.SSHException):
        pass
    return state(transport)


def window_beyond_all():
    """A window that is made larger than there is a number for."""
    transport = logged_in()
    channel = opened(transport, "sleep 1000")
    for _ in range(4):
        send(transport, message(93, channel.remote_chanid, 0xFFFFFFFF))
    time.sleep(0.3)
    return answers(transport) if transport.is_active() else "closed"


def channels_of_nobody():
    """Data, requests and ends for channels that are not there."""
    transport = logged_in()
    for number in (7, 0xFFFFFFFF):
        send(transport, message(94, number, b"x"), message(98, number, "exec", True, "touch hostile-was-here"))
        send(transport, message(96, number), message(97, number))
    time.sleep(0.3)
    return answers(transport) if transport.is_active() else "closed"


def after_the_end():
    """Data behind EOF and CLOSE, and CLOSE twice."""
    transport = logged_in()
    channel = opened(transport, "cat > after-the-end")
    number = channel.remote_chanid
    send(transport, message(94, number, b"before"), message(96, number), message(94, number, b"behind"))
    send(transport, message(97, number), message(94, number, b"behind"), message(97, number))
    time.sleep(0.3)
    return answers(transport) if transport.is_active() else "closed"


def two_lines_on_a_channel():
    transport = logged_in()
    channel = transport.open_session(timeout=LIMIT)
    number = channel.remote_chanid
    send(transport, message(98, number, "exec", False, "echo one; cat"), message(98, number, "exec", False, "echo two"))
    send(transport, message(98, number, "shell", False), message(98, number, "subsystem", False, "sftp"))
    send(transport, message(98, number, "env", False, "LANG", "late"), message(96, number))
    channel.settimeout(LIMIT)
    out = b""
    while piece := channel.recv(4096):
        out += piece
    return out.decode()


def requests_without_end():
    """Global requests, and requests on a channel, that nobody knows."""
    transport = logged_in()
    channel = opened(transport, "cat")
    for number in range(3000):
        send(transport, message(80, f"unknown-{number}@example.com", True))
        send(transport, message(98, channel.remote_chanid, f"unknown-{number}@example.com", True))
    return answers(transport) if transport.is_active() else "closed"


def channels_without_end():
    """More channels than there may be, and of kinds that there are not."""
    transport = logged_in()
    held, refused = [], 0
    for _ in range(300):
        try:
            held.append(transport.open_session(timeout=LIMIT))
        except paramiko.ChannelException:
            refused += 1
    unknown = 0
    for kind in ("x11", "forwarded-tcpip", "auth-agent@openssh.com", "tun@openssh.com", "unknown@example.com"):
        try:
            transport.open_channel(kind, timeout=LIMIT, dest_addr=("127.0.0.1", 1), src_addr=("127.0.0.1", 1))
        except (paramiko.ChannelException, paramiko.SSHException):
            unknown += 1
    for channel in held[:10]:
        channel.close()
    time.sleep(0.3)
    return {"refused": refused > 0, "unknown": unknown, "after": answers(transport)}


def lengths_that_lie():
    """A line that says that it is longer than its packet."""
    results = []
    for lie in (0xFFFFFFFF, 0x7FFFFFFF, 1 << 20):
        transport = logged_in()
        channel = transport.open_session(timeout=LIMIT)
        request = message(98, channel.remote_chanid, "exec", True)
        request.add_int(lie)
        request.packet.write(b"touch hostile-was-here")
        send(transport, request)
        results.append(state(transport, 3))
    return results


def foreign_handle():
    """A handle of one SFTP channel, used on another of the same connection; and one that was closed."""
    transport = logged_in()
    one, two = paramiko.SFTPClient.from_transport(transport), paramiko.SFTPClient.from_transport(transport)
    file = one.open("open-file", "w+")
    file.write("content")
    file.flush()
    file.seek(0)
    results = [file.read().decode()]
    for client in (two, one):
        if client is one:
            file.close()
        for request in (
            (paramiko.sftp.CMD_READ, file.handle, paramiko.sftp.int64(0), 100),
            (paramiko.sftp.CMD_WRITE, file.handle, paramiko.sftp.int64(0), b"changed"),
            (paramiko.sftp.CMD_FSTAT, file.handle),
            (paramiko.sftp.CMD_READDIR, file.handle),
            (paramiko.sftp.CMD_CLOSE, file.handle),
        ):
            try:
                client._request(*request)
                results.append("done")
            except (IOError, EOFError):
                results.append("refused")
    results.append(one.open("open-file").read().decode())
    return results


def main():
    scenarios = [
        success_from_the_client,
        channel_before_a_login,
        channel_before_a_login_after_the_service,
        request_before_a_login,
        global_request_before_a_login,
        connection_service_before_a_login,
        answers_of_a_server,
        login_again,
        many_names,
        offered_and_another_signed,
        signed_by_another,
        window_overflow,
        window_beyond_all,
        channels_of_nobody,
        after_the_end,
        two_lines_on_a_channel,
        requests_without_end,
        channels_without_end,
        lengths_that_lie,
        foreign_handle,
    ]
    wanted = sys.argv[1:]
    results = {}
    for scenario in scenarios:
        if not wanted or scenario.__name__ in wanted:
            results[scenario.__name__] = scenario()
    print(json.dumps(results))
    sys.stdout.flush()
    # Threads of connections that go on are none of its business.
    os._exit(0)


main()
