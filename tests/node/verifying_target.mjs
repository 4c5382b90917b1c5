// An API that verifies a JWT in a field of each request with `jose`, and answers with what it says.
//
// node verifying_target.mjs
//
// It prints {"port": N}. A test posts to /configure what is verified: { header, jwks, issuer, audience, typ }; or
// { refuse: true }, and no token that it has seen so far is believed any more.

import http from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';

let settings;
let keys;
const seen = new Set();
const refused = new Set();

const text = async (request) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
};

function json(response, status, value) {
  const body = JSON.stringify(value);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

async function verified(request) {
  const values = request.rawHeaders.filter((_, at) => at % 2 === 0 && alike(request.rawHeaders[at]) === alike(settings.header));
  if (values.length !== 1) throw new Error(`${values.length} fields`);
  const token = request.headers[settings.header.toLowerCase()].replace(/^Bearer /, '');
  const { payload, protectedHeader } = await jwtVerify(token, keys, {
    issuer: settings.issuer, audience: settings.audience, typ: settings.typ, clockTolerance: 5,
  });
  if (refused.has(payload.jti)) throw new Error('revoked');
  seen.add(payload.jti);
  return { claims: payload, header: protectedHeader };
}

const alike = (name) => name.toLowerCase().replaceAll('_', '-');

const server = http.createServer(async (request, response) => {
  const body = await text(request);
  if (request.url === '/configure') {
    const told = JSON.parse(body);
    if (told.refuse) for (const one of seen) refused.add(one);
    else [settings, keys] = [told, createRemoteJWKSet(new URL(told.jwks))];
    return json(response, 200, {});
  }
  try {
    return json(response, 200, { ...(await verified(request)), method: request.method, path: request.url });
  } catch (error) {
    return json(response, 401, { error: String(error) });
  }
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
