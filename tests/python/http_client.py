"""Python's own HTTP client: keep-alive, a body in chunks, 100-continue, an answer in pieces. Prints JSON."""

import http.client
import json
import ssl
import sys

port, ca, token = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=ca)
connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=60)
bearer = {"Authorization": f"Bearer {token}"}
seen = []


def ask(method, path, body=None, headers=None, **more):
    connection.request(method, path, body=body, headers={**bearer, **(headers or {})}, **more)
    answer = connection.getresponse()
    content = answer.read()
    seen.append({"status": answer.status, "length": len(content), "body": content[:300].decode("utf-8", "replace")})
    return content


def pieces():
    for number in range(64):
        yield b"%06d " % number * 2048


ask("GET", "/v1/customers/1")
first = connection.sock
ask("POST", "/echo", body=pieces(), headers={"Content-Type": "text/plain"}, encode_chunked=True)
ask("PUT", "/echo", body=b"x" * 100_000, headers={"Content-Type": "text/plain", "Expect": "100-continue"})
ask("HEAD", "/v1/customers/1")
ask("GET", "/large?bytes=3000000")
ask("DELETE", "/v1/customers/1")
ask("GET", "/echo")
print(json.dumps({"seen": seen, "one_connection": connection.sock is first}))
