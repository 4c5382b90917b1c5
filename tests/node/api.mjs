// An API as people run them, of Node alone: HTTP/1.1, or HTTP/2 inside TLS, with a log of what reached it.
//
// node api.mjs LOG BEARER [KEY CERTIFICATE [CLIENT_CA]]

import { appendFileSync, readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import http from 'node:http';
import http2 from 'node:http2';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const [log, bearer, key, certificate, clientCa] = process.argv.slice(2);
const CARD = '4111111111111111';
const streams = new Set();
let held = [];

const customer = (id) => ({
  id, name: 'Ada', email: 'ada@example.com', card: { number: CARD, holder: 'Ada' }, balance: 12345678901234567890n,
});
const text = (value) => JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `#${part}#` : part)).replaceAll(/"#(\d+)#"/g, '$1');

function json(response, value, fields = {}) {
  const body = Buffer.from(text(value));
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length, ...fields });
  response.end(body);
}

function coded(response, coding, compress) {
  const body = compress(text(customer(1)));
  response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': coding, etag: '"strong"' });
  response.end(body);
}

const routes = {
  '/gzip': (_, response) => coded(response, 'gzip', gzipSync),
  '/br': (_, response) => coded(response, 'br', brotliCompressSync),
  '/compress': (_, response) => coded(response, 'compress', (all) => Buffer.from(all)),
  '/png': (_, response) => {
    response.writeHead(200, { 'content-type': 'image/png' });
    response.end(Buffer.from('89504e470d0a1a0a00', 'hex'));
  },
  '/broken': (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end('{"card": "4111');
  },
  '/redirect': (_, response) => {
    response.writeHead(302, { location: '/v1/customers/1', 'set-cookie': ['a=1; Path=/', 'sluice_session=stolen'] });
    response.end();
  },
  '/fields': (_, response) => {
    response.writeHead(200, {
      'content-type': 'text/plain', 'alt-svc': 'h3=":443"', 'clear-site-data': '"*"', 'x-note': `paid with ${CARD}`,
      'strict-transport-security': 'max-age=1', 'sluice-request': 'forged',
    });
    response.end('fields');
  },
  '/events': (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: {"card":"${CARD}"}\n\n`);
    streams.add(response);
    response.on('close', () => { streams.delete(response); note({ closed: '/events' }); });
  },
  '/emit': (_, response) => {
    for (const stream of streams) stream.write('data: {"more":true}\n\n');
    response.end('emitted');
  },
  '/finish': (_, response) => {
    for (const stream of streams) stream.end();
    response.end('finished');
  },
  '/hold': (_, response) => { held.push(response); response.on('close', () => note({ closed: '/hold' })); },
  '/release': (_, response) => {
    for (const one of held) one.end('held');
    held = [];
    response.end('released');
  },
  '/trailers': (_, response) => {
    response.writeHead(200, { 'content-type': 'text/plain', trailer: 'x-checked, set-cookie' });
    response.write('body');
    response.addTrailers({ 'x-checked': 'yes', 'set-cookie': 'a=1' });
    response.end();
  },
  '/digests': (_, response) => {
    const digest = createHash('sha256').update(CARD).digest('base64');
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.write(CARD);
    response.addTrailers({
      'x-checked': 'yes', digest: `sha-256=${digest}`, 'content-digest': `sha-256=:${digest}:`,
      'repr-digest': `sha-256=:${digest}:`, 'content-md5': createHash('md5').update(CARD).digest('base64'),
    });
    response.end();
  },
  '/located': (_, response) => {
    response.writeHead(302, { location: '/v1/customers/1?note=4111+1111+1111+1111&page=2' });
    response.end();
  },
  '/large': (request, response) => {
    const size = Number(new URL(request.url, 'http://x').searchParams.get('bytes'));
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': size });
    const piece = Buffer.alloc(65536, 'a ');
    let left = size;
    const more = () => {
      while (left > 0) {
        const next = piece.subarray(0, Math.min(left, piece.length));
        left -= next.length;
        if (!response.write(next)) return response.once('drain', more);
      }
      return response.end();
    };
    more();
  },
};

function note(line) {
  appendFileSync(log, `${JSON.stringify(line)}\n`);
}

function answer(request, response) {
  const digest = createHash('sha256');
  let bytes = 0;
  const kept = [];
  request.on('error', () => {});
  request.on('data', (piece) => {
    bytes += piece.length;
    digest.update(piece);
    if (bytes <= 65536) kept.push(piece);
  });
  request.on('end', () => {
    const fields = [];
    const raw = request.rawHeaders;
    for (let at = 0; at < raw.length; at += 2) fields.push([raw[at].toLowerCase(), raw[at + 1]]);
    const line = {
      method: request.method, path: request.url, version: request.httpVersion, fields, bytes,
      sha256: digest.digest('hex'), body: Buffer.concat(kept).toString('utf8'), trailers: request.trailers,
      client: clientCa ? request.socket.getPeerCertificate().subject.CN : undefined,
    };
    const refused = bearer !== 'none' && request.headers.authorization !== `Bearer ${readFileSync(bearer, 'utf8').trim()}`;
    note({ ...line, refused });
    if (refused) {
      response.writeHead(401, { 'www-authenticate': 'Bearer' });
      return response.end();
    }
    const path = request.url.split('?')[0];
    if (routes[path]) return routes[path](request, response);
    const id = /^\/v1\/customers\/(\d+)$/.exec(path);
    if (id && request.method === 'GET') return json(response, customer(Number(id[1])), { etag: '"strong"' });
    if (path.startsWith('/status/')) {
      response.writeHead(Number(path.slice(8)), { 'content-type': 'application/json' });
      return response.end('{}');
    }
    return json(response, line);
  });
}

const mutual = clientCa ? { ca: readFileSync(clientCa), requestCert: true, rejectUnauthorized: true } : {};
const server = key
  ? http2.createSecureServer({ key: readFileSync(key), cert: readFileSync(certificate), allowHTTP1: true, ...mutual }, answer)
  : http.createServer({ requestTimeout: 0, keepAliveTimeout: 60000 }, answer);
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
