"""Python's own HTTP client through a proxy inside TLS, which asks for its connection by HTTP/1.0 up to Python 3.11. Prints JSON."""

import base64
import http.client
import io
import json
import socket
import ssl
import sys

port, proxy_ca, ca, token = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]


class Reading(io.RawIOBase):
    """What is read of a connection."""

    def __init__(self, inside):
        self.inside = inside

    def readable(self):
        return True

    def readinto(self, buffer):
        piece = self.inside.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


class Inside:
    """TLS within what another TLS carries, as a socket that is written to and read."""

    def __init__(self, outer, context, host):
        self.outer, self.incoming, self.outgoing = outer, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=host)
        self.carry(self.tls.do_handshake)

    def carry(self, act, *arguments):
        while True:
            try:
                done = act(*arguments)
            except ssl.SSLWantReadError:
                self.outer.sendall(self.outgoing.read())
                piece = self.outer.recv(65536)
                if piece:
                    self.incoming.write(piece)
                else:
                    self.incoming.write_eof()
                continue
            self.outer.sendall(self.outgoing.read())
            return done

    def read(self, length):
        try:
            return self.carry(self.tls.read, length)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def sendall(self, data):
        self.carry(self.tls.write, data)

    def makefile(self, mode):
        return io.BufferedReader(Reading(self))

    def close(self):
        self.outer.close()


class Proxied(http.client.HTTPConnection):
    """A connection to a server inside TLS, through the proxy."""

    def __init__(self, password):
        super().__init__("localhost", port, timeout=60)
        self._create_connection = self.to_proxy
        pair = base64.b64encode(f"erin:{password}".encode()).decode()
        self.set_tunnel("localhost", 443, {"Proxy-Authorization": f"Basic {pair}"})

    def to_proxy(self, address, timeout, source):
        context = ssl.create_default_context(cafile=proxy_ca)
        return context.wrap_socket(socket.create_connection(address, timeout), server_hostname="localhost")

    def connect(self):
        super().connect()
        self.sock = Inside(self.sock, ssl.create_default_context(cafile=ca), "localhost")


def ask(connection, method, path):
    connection.request(method, path, headers={"Host": "localhost"})
    answer = connection.getresponse()
    content = answer.read()
    body = json.loads(content) if len(content) < 10_000 else None
    return {"status": answer.status, "length": len(content), "body": body}


connection = Proxied(token)
asked = [("GET", "/v1/customers/7"), ("GET", "/large?bytes=3000000"), ("DELETE", "/v1/customers/7"), ("GET", "/echo")]
seen = [ask(connection, method, path) for method, path in asked]
try:
    Proxied("nonsense").connect()
    refused = None
except OSError as error:
    refused = int(str(error).split(":")[1].split()[0])
print(json.dumps({"seen": seen, "refused": refused}))
