// Tokens that are bound to a key, at an API behind Sluice (DPoP, RFC 9449): as oauth4webapi shows them, and as attackers would.
//
// SLUICE_ISSUER is the token endpoint's issuer, SLUICE_TOKEN a token that it exchanges, SLUICE_API the API's URL. Prints what
// came of each request as JSON.

import { createHash, randomUUID } from 'node:crypto';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import * as oauth from 'oauth4webapi';

const { SLUICE_ISSUER: issuer, SLUICE_TOKEN: token, SLUICE_API: api } = process.env;
const [key, other] = [await generateKeyPair('ES256', { extractable: true }), await generateKeyPair('ES256', { extractable: true })];
const hash = (text) => createHash('sha256').update(text).digest('base64url');

async function proof(method, url, more = {}, pair = key) {
  const jwk = await exportJWK(pair.publicKey);
  return new SignJWT({ htm: method, htu: url, jti: randomUUID(), ...more })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk }).setIssuedAt(more.iat).sign(pair.privateKey);
}

async function exchange(nonce) {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { DPoP: await proof('POST', `${issuer}/token`, nonce ? { nonce } : {}) },
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    }),
  });
  return nonce ? (await response.json()).access_token : exchange(response.headers.get('dpop-nonce'));
}

const bound = await exchange();
const url = `${api}/echo`;

async function ask(scheme, presented, proofs, target = `${url}?x=1`, method = 'GET') {
  const headers = new Headers({ authorization: `${scheme} ${presented}` });
  for (const one of proofs) headers.append('dpop', one);
  const response = await fetch(target, { method, headers });
  const { status } = response;
  const challenge = response.headers.get('www-authenticate') ?? '';
  return { status, challenge, nonce: response.headers.get('dpop-nonce'), body: await response.text() };
}

const results = {};
const first = await ask('DPoP', bound, [await proof('GET', url, { ath: hash(bound) })]);
results.nonce = [first.status, first.challenge.includes('use_dpop_nonce'), Boolean(first.nonce)];
const { nonce } = first;
const good = (more = {}, pair = key, method = 'GET', at = url) => proof(method, at, { ath: hash(bound), nonce, ...more }, pair);
const once = await good();
results.good = (await ask('DPoP', bound, [once])).status;
results.passed = JSON.parse((await ask('DPoP', bound, [await good()])).body).fields.map(([name]) => name);
const wrong = {
  replay: ['DPoP', bound, [once]],
  bearer: ['Bearer', bound, []],
  'bearer with a proof': ['Bearer', bound, [await good()]],
  'no proof': ['DPoP', bound, []],
  'another key': ['DPoP', bound, [await good({}, other)]],
  'another method': ['DPoP', bound, [await good({}, key, 'POST')]],
  'another path': ['DPoP', bound, [await good({}, key, 'GET', `${api}/other`)]],
  'another server': ['DPoP', bound, [await good({}, key, 'GET', 'https://other.example/echo')]],
  'another scheme': ['DPoP', bound, [await good({}, key, 'GET', url.replace('https', 'http'))]],
  'another token': ['DPoP', bound, [await good({ ath: hash('other') })]],
  'too old': ['DPoP', bound, [await good({ iat: Math.floor(Date.now() / 1000) - 3600 })]],
  unbound: ['DPoP', token, [await good({ ath: hash(token) })]],
};
results.wrong = {};
for (const [name, asked] of Object.entries(wrong)) results.wrong[name] = (await ask(...asked)).status;
results.post = (await ask('DPoP', bound, [await good({}, key, 'POST')], url, 'POST')).status;

const handle = oauth.DPoP({ client_id: 'order-service' }, key);
const client = () => oauth.protectedResourceRequest(bound, 'GET', new URL(url), undefined, null, { DPoP: handle });
const answered = await client().catch((error) => {
  if (oauth.isDPoPNonceError(error)) return client();
  throw error;
});
results.client = answered.status;
console.log(JSON.stringify(results));
