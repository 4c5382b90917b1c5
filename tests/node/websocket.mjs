// A client of WebSocket by the module ws: `websocket.mjs URL CA TOKEN WORD...` prints what came for each word that it said.

import { readFileSync } from "node:fs";
import WebSocket from "ws";

const [url, ca, token, ...words] = process.argv.slice(2);
const socket = new WebSocket(url, { ca: readFileSync(ca), headers: { authorization: `Bearer ${token}` } });
const messages = [];
socket.on("open", () => socket.send(words[0]));
socket.on("message", (data, isBinary) => {
  messages.push(isBinary ? { bytes: data.toString("hex") } : data.toString());
  if (messages.length < words.length) socket.send(words[messages.length]);
  else socket.close(1000, "done");
});
socket.on("close", (code) => console.log(JSON.stringify({ messages, code, extensions: socket.extensions })));
