// The token endpoint of Sluice and its proofs of possession, as an implementation that is not ours takes them
// (oauth4webapi): discovery, keys, access tokens (RFC 9068), token exchange (RFC 8693), DPoP (RFC 9449).
//
// SLUICE_ISSUER is where it is, SLUICE_TOKEN a token that it accepts. Prints what came of each step as JSON.
import * as oauth from 'oauth4webapi'

const insecure = { [oauth.allowInsecureRequests]: true }
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'
const PASSWORD = 'urn:sluice:token-type:database-password'

const issuer = new URL(process.env.SLUICE_ISSUER)
const client = { client_id: 'order-service' }
const whoami = new URL('/v1/whoami', issuer)

async function discover(algorithm) {
  const response = await oauth.discoveryRequest(issuer, { algorithm, ...insecure })
  return oauth.processDiscoveryResponse(issuer, response)
}

const as = await discover('oauth2')
const results = { discovery: as, same: JSON.stringify(await discover('oidc')) === JSON.stringify(as) }

async function exchange(token, more, options = {}) {
  const parameters = { subject_token: token, subject_token_type: ACCESS_TOKEN, ...more }
  const ask = async () => {
    const response = await oauth.genericTokenEndpointRequest(as, client, oauth.None(), EXCHANGE, parameters, {
      ...insecure,
      ...options,
    })
    return oauth.processGenericTokenEndpointResponse(as, client, response, { recognizedTokenTypes: { n_a: () => {} } })
  }
  try {
    return await ask()
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    results.nonce_was_asked_for = true
    return ask()
  }
}

async function call(token, options = {}) {
  const ask = () => oauth.protectedResourceRequest(token, 'GET', whoami, undefined, null, { ...insecure, ...options })
  try {
    const response = await ask().catch((error) => {
      if (oauth.isDPoPNonceError(error)) return ask()
      throw error
    })
    return await response.json()
  } catch (error) {
    return { refused: error.status ?? String(error) }
  }
}

// A bearer token, which is valid by RFC 9068 to somebody who only knows the issuer.
const bearer = await exchange(process.env.SLUICE_TOKEN, {})
results.bearer = { token_type: bearer.token_type, who: await call(bearer.access_token) }
const presented = new Request(whoami, { headers: { authorization: `Bearer ${bearer.access_token}` } })
results.claims = await oauth.validateJwtAccessToken(as, presented, 'urn:sluice', insecure)

// A bound one, with keys of three kinds.
results.bound = {}
for (const algorithm of ['ES256', 'Ed25519', 'RS256']) {
  const keys = await oauth.generateKeyPair(algorithm)
  const DPoP = oauth.DPoP(client, keys)
  const bound = await exchange(process.env.SLUICE_TOKEN, {}, { DPoP })
  const stranger = oauth.DPoP(client, await oauth.generateKeyPair(algorithm))
  results.bound[algorithm] = {
    token_type: bound.token_type,
    thumbprint: await DPoP.calculateThumbprint(),
    who: await call(bound.access_token, { DPoP }),
    again: await call(bound.access_token, { DPoP }),
    without: await call(bound.access_token),
    stolen: await call(bound.access_token, { DPoP: stranger }),
    exchanged: (await exchange(bound.access_token, {}, { DPoP })).token_type,
  }
}

const password = await exchange(process.env.SLUICE_TOKEN, { requested_token_type: PASSWORD, audience: 'payments' })
results.password = { token_type: password.token_type, length: password.access_token.length }

try {
  await exchange(process.env.SLUICE_TOKEN, { audience: 'no-such-target' })
} catch (error) {
  results.refused = { error: error.error, status: error.status }
}

console.log(JSON.stringify(results))
