"""Tells a WebSocket what it is given and prints what comes: `client.py URL CA TOKEN [PROTOCOL,...] WORD...`.

A word is sent as a text; `@bytes` sends bytes, `@ping` pings, `@wait` waits for the end, `@ready` waits for a message only."""

import asyncio
import json
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


async def main(url, ca, token, protocols, words):
    trust = ssl.create_default_context(cafile=ca)
    options = dict(additional_headers={"authorization": f"Bearer {token}"}, ssl=trust, compression="deflate")
    if protocols:
        options["subprotocols"] = protocols.split(",")
    said = {"messages": []}
    try:
        async with connect(url, **options) as socket:
            said["protocol"] = socket.subprotocol
            said["extensions"] = [extension.name for extension in socket.protocol.extensions]
            try:
                for word in words:
                    match word:
                        case "@ping":
                            await asyncio.wait_for(await socket.ping(b"are you there"), 20)
                            said["messages"].append("pong")
                            continue
                        case "@wait":
                            print(json.dumps({"ready": True}), flush=True)
                            await socket.recv()
                            continue
                        case "@bytes":
                            await socket.send(b"\x01\x02")
                        case _:
                            await socket.send(word)
                    message = await asyncio.wait_for(socket.recv(), 20)
                    said["messages"].append(message if isinstance(message, str) else {"bytes": message.hex()})
            except ConnectionClosed:
                pass
        said["code"], said["reason"] = socket.close_code, socket.close_reason
    except InvalidStatus as refused:
        said["status"] = refused.response.status_code
        said["body"] = refused.response.body.decode()
    print(json.dumps(said), flush=True)


asyncio.run(main(*sys.argv[1:5], sys.argv[5:]))
