// A certified OpenID provider (oidc-provider) for tests: `node oidc_provider.mjs DIRECTORY [PORT]`.
//
// It listens on a loopback port, prints {"port": N} on a line, and keeps its keys in DIRECTORY, so that it comes back with
// them after it was stopped. Its token endpoint takes client_secret_basic (order-service) and private_key_jwt (billing);
// the `resource` decides what comes back: urn:jwt:ALG a JWT (RFC 9068) signed with ALG, urn:opaque one that only it can
// read. What a test does to it goes through /test/...: it is no part of the provider.

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { createPublicKey } from 'node:crypto';
import { CompactSign, SignJWT, exportJWK, generateKeyPair, importJWK } from 'jose';
import { Provider } from 'oidc-provider';

const [directory, port = '0'] = process.argv.slice(2);
const secret = (name) => process.env[`SECRET_${name.replace('-', '_').toUpperCase()}`] ?? `no secret for ${name}`;
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];

const groups = { 'order-service': ['orders-reader', 'cleared'], billing: ['payments'] };
const requests = { discovery: 0, jwks: 0, introspection: 0, token: 0, elsewhere: 0 };
let delay = 0;

const jwk = async (algorithm, kid) => {
  const pair = await generateKeyPair(algorithm, { extractable: true });
  return { ...(await exportJWK(pair.privateKey)), kid, alg: algorithm, use: 'sig' };
};

// One RSA key for all of its algorithms: drawing one takes long.
const newKeys = async (generation) => {
  const rsa = await jwk('RS256', 'rsa');
  const key = (algorithm) => (/^[RP]S/.test(algorithm) ? rsa : jwk(algorithm));
  return Promise.all(
    ALGORITHMS.map(async (alg) => ({ ...(await key(alg)), kid: `${alg}-${generation}`, alg })),
  );
};

const file = path.join(directory, 'keys.json');
const save = (state) => fs.writeFileSync(file, JSON.stringify(state));
const state = fs.existsSync(file)
  ? JSON.parse(fs.readFileSync(file))
  : { generation: 1, keys: await newKeys(1), client: await jwk('ES256', 'client') };
save(state);

const client = (client_id, rest) => ({ client_id, redirect_uris: [], response_types: [], ...rest });
const { d, ...clientPublic } = state.client;
const machine = { grant_types: ['client_credentials'] };
const clients = [
  client('order-service', { ...machine, client_secret: secret('order-service') }),
  client('billing', {
    ...machine,
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    jwks: { keys: [clientPublic] },
  }),
  client('sluice', { grant_types: [], client_secret: secret('sluice') }),
];

const resource = (name) => {
  const [, alg] = name.match(/^urn:jwt:(.+)$/) ?? [];
  const common = { scope: 'db', audience: 'sluice', accessTokenTTL: 300 };
  return alg ? { ...common, accessTokenFormat: 'jwt', jwt: { sign: { alg } } } : { ...common, accessTokenFormat: 'opaque' };
};

const build = (issuer) => {
  const provider = new Provider(issuer, {
    clients,
    jwks: { keys: state.keys },
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    enabledJWA: { idTokenSigningAlgValues: ALGORITHMS, requestObjectSigningAlgValues: ALGORITHMS },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:jwt:RS256',
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, name) => resource(name),
      },
    },
    extraTokenClaims: (ctx, token) => ({ sub: token.clientId, groups: groups[token.clientId] }),
    ttl: { ClientCredentials: 300 },
  });
  return provider.callback();
};

// The kept keys of one process' issuer: what it signs with now comes first.
const rotate = async (issuer, keep) => {
  const fresh = await newKeys((state.generation += 1));
  state.keys = keep ? [...fresh, ...state.keys] : fresh;
  save(state);
  return build(issuer);
};

// Anything, signed by one of the provider's keys, whatever the header says.
const sign = async ({ kid, header, claims, symmetric }) => {
  const found = state.keys.find((key) => key.kid === kid);
  const payload = new TextEncoder().encode(JSON.stringify(claims));
  if (!symmetric) {
    const key = await importJWK({ ...found, alg: header.alg }, header.alg);
    return new CompactSign(payload).setProtectedHeader(header).sign(key);
  }
  const { kty, n, e, crv, x, y } = found;
  const open = { kty, n, e, crv, x, y };
  const key = createPublicKey({ key: JSON.parse(JSON.stringify(open)), format: 'jwk' });
  const bytes = {
    pem: () => Buffer.from(key.export({ type: 'spki', format: 'pem' })),
    der: () => key.export({ type: 'spki', format: 'der' }),
    jwk: () => Buffer.from(JSON.stringify(JSON.parse(JSON.stringify(open)))),
  }[symmetric]();
  return new CompactSign(payload).setProtectedHeader(header).sign(bytes);
};

const assertion = (issuer) =>
  importJWK(state.client, 'ES256').then((key) =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid: 'client' })
      .setIssuer('billing')
      .setSubject('billing')
      .setAudience(issuer)
      .setJti(crypto.randomUUID())
      .setIssuedAt()
      .setExpirationTime('1m')
      .sign(key),
  );

const body = async (request) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  return parts.length ? JSON.parse(Buffer.concat(parts)) : {};
};

let answer;
const test = {
  rotate: async (issuer, { keep }) => {
    answer = await rotate(issuer, keep);
    return { kids: state.keys.map((key) => key.kid) };
  },
  groups: async (issuer, { client: name, groups: names }) => ((groups[name] = names), {}),
  delay: async (issuer, { milliseconds }) => ((delay = milliseconds), {}),
  requests: async () => requests,
  sign: async (issuer, wanted) => ({ token: await sign(wanted) }),
  assertion: async (issuer) => ({ assertion: await assertion(issuer) }),
};

const kinds = [
  ['discovery', '/.well-known/openid-configuration'],
  ['jwks', '/jwks'],
  ['introspection', '/token/introspection'],
  ['token', '/token'],
];

const server = http.createServer(async (request, response) => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const [, action] = request.url.match(/^\/test\/(\w+)$/) ?? [];
  if (action) {
    const result = await test[action](issuer, await body(request));
    response.end(JSON.stringify(result));
    return;
  }
  const [kind] = kinds.find(([, at]) => request.url === at) ?? ['elsewhere'];
  requests[kind] += 1;
  if (delay) await new Promise((resolve) => setTimeout(resolve, delay));
  answer(request, response);
});
server.listen(Number(port), '127.0.0.1', () => {
  answer = build(`http://127.0.0.1:${server.address().port}`);
  console.log(JSON.stringify({ port: server.address().port }));
});
