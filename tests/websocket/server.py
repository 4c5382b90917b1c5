"""A WebSocket server to be a target: `server.py REACHED` prints {"port": N} and writes what reached it, a line of JSON each.

It says back what it is told; some words make it do something else."""

import asyncio
import json
import sys

from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.http11 import Response

reached = open(sys.argv[1], "a", buffering=1, encoding="utf-8")


def note(**what):
    print(json.dumps(what), file=reached)


def refuse(connection, request):
    fields = {name.lower(): value for name, value in request.headers.raw_items()}
    note(path=request.path, fields=fields)
    if request.path == "/refuses":
        return Response(403, "Forbidden", Headers({"content-type": "text/plain", "content-length": "2"}), b"no")
    return None


async def converse(connection):
    try:
        async for message in connection:
            note(message=message if isinstance(message, str) else message.hex())
            match message:
                case "card":
                    await connection.send(json.dumps({"name": "Ada", "card": "4111 1111 1111 1111"}))
                case "text card":
                    await connection.send("paid with 4111 1111 1111 1111, thanks")
                case "pieces":
                    await connection.send(iter(["4111 1111 ", "1111 1111", " in pieces"]))
                case "bytes":
                    await connection.send(b"\x00\x01\xff")
                case "long":
                    await connection.send("x" * 100_000)
                case "ping":
                    pong = await connection.ping(b"4111 1111 1111 1111")
                    await asyncio.wait_for(pong, 10)
                    await connection.send("ponged")
                case "close":
                    await connection.close(4001, "card 4111 1111 1111 1111")
                case _:
                    await connection.send(message)
    finally:
        note(closed=connection.close_code, reason=connection.close_reason)


def choose(connection, offered):
    return next((name for name in offered if name in ("chat.v2", "chat.v1")), None)


async def main():
    options = dict(process_request=refuse, select_subprotocol=choose, compression="deflate", ping_interval=None)
    async with serve(converse, "127.0.0.1", 0, **options) as server:
        print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
