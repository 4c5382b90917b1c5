// A certified OpenID provider (oidc-provider) where people sign in, for tests: `node people_provider.mjs`.
//
// It prints {"port": N} on a line. People sign in to the client sluice-cli, which has no secret, in a browser or with a
// device; machines are etl (by a secret) and billing (by a key, PUBLIC_JWK). Access tokens are JWTs (RFC 9068) that last for
// LIFETIME seconds. Whoever signs in as NAME is in the group that MEMBERSHIPS, a JSON object, has for it.

import http from 'node:http';
import { Provider } from 'oidc-provider';

const { SECRET_ETL, PUBLIC_JWK, LIFETIME = '300', MEMBERSHIPS = '{}' } = process.env;
const groups = JSON.parse(MEMBERSHIPS);
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';

const machine = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] };
const clients = [
  {
    client_id: 'sluice-cli',
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token', DEVICE],
    response_types: ['code'],
    redirect_uris: ['http://127.0.0.1/callback'],
  },
  { client_id: 'etl', client_secret: SECRET_ETL, ...machine },
  { client_id: 'etl-post', client_secret: SECRET_ETL, token_endpoint_auth_method: 'client_secret_post', ...machine },
  {
    client_id: 'billing',
    ...machine,
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    jwks: { keys: [JSON.parse(PUBLIC_JWK)] },
  },
];

const seconds = Number(LIFETIME);
const resource = { scope: '', audience: 'sluice', accessTokenTTL: seconds, accessTokenFormat: 'jwt' };

const build = (issuer) =>
  new Provider(issuer, {
    clients,
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    cookies: { keys: ['of a test'] },
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:sluice',
        useGrantedResource: () => true,
        getResourceServerInfo: () => resource,
      },
    },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
    extraTokenClaims: (ctx, token) => ({
      ...(token.accountId ? { account_type: 'person' } : { sub: token.clientId }),
      groups: groups[token.accountId ?? token.clientId] ?? [],
    }),
    ttl: { ClientCredentials: seconds, AccessToken: seconds, DeviceCode: 60, AuthorizationCode: 60, IdToken: 60 },
  }).callback();

const server = http.createServer((request, response) => server.answer(request, response));
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  server.answer = build(`http://127.0.0.1:${port}`);
  console.log(JSON.stringify({ port }));
});
