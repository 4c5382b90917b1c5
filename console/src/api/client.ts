// The API, by its own description (`openapi.json`, from which `schema.ts` is generated).
import createClient from 'openapi-fetch';
import type { components, paths } from './schema';

export type Schemas = components['schemas'];
export type Approval = Schemas['ApprovalView'];
export type Live = Schemas['LiveView'];
export type SessionRecord = Schemas['SessionRecord'];
export type FoundRequest = Schemas['RequestView'];
export type FoundEvent = Schemas['EventView'];
export type Subject = Schemas['SubjectName'];
export type Whoami = Schemas['Whoami'];
export type TapeLine = Schemas['TapeLine'];

/** A call that did not succeed, with what Sluice says about it (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }
}

// Somebody who does nothing is signed out in the end, whatever the page asks by itself.
let lastAct = 0;
const act = () => {
  lastAct = Date.now();
};
if (typeof window !== 'undefined') {
  for (const kind of ['pointerdown', 'keydown', 'wheel', 'touchstart']) {
    window.addEventListener(kind, act, { passive: true, capture: true });
  }
  act();
}

/** What Sluice wants to see on each call of these pages. */
export const mark = (): Record<string, string> => ({
  'Sluice-Console': Date.now() - lastAct < 60_000 ? 'user' : 'page',
});

export const api = createClient<paths>({ baseUrl: '/', credentials: 'same-origin', cache: 'no-store' });

api.use({
  onRequest({ request }) {
    for (const [name, value] of Object.entries(mark())) request.headers.set(name, value);
    return request;
  },
});

export async function problemOf(response: Response): Promise<Problem> {
  const body: unknown = await response.json().catch(() => undefined);
  const detail =
    typeof body === 'object' && body !== null && 'detail' in body && typeof body.detail === 'string'
      ? body.detail
      : `Sluice answers with ${response.status}.`;
  return new Problem(response.status, detail);
}

/** The answer, or the problem thrown. */
export async function answered<T>(
  call: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<NonNullable<T>> {
  const { data, error, response } = await call.catch(() => {
    throw new Problem(0, 'Sluice cannot be reached. Is the network there?');
  });
  if (response.ok && data !== undefined && data !== null) return data;
  const detail =
    typeof error === 'object' && error !== null && 'detail' in error ? String(error.detail) : `Sluice answers with ${response.status}.`;
  throw new Problem(response.status, detail);
}
