// Proofs that an entry is in the journal (c2sp.org/tlog-proof), verified here: nothing of it is taken on Sluice's word but
// the public key, and that only where no other is known.

const PROOF = 'c2sp.org/tlog-proof@v1';
const MAX_HASHES = 63;
const ED25519 = 1;
const encoder = new TextEncoder();

export interface Verified {
  entry: bigint;
  /** How many entries the signed tree has. */
  size: bigint;
  /** The name of the log. */
  log: string;
  root: string;
  bytes: Uint8Array<ArrayBuffer>;
}

export class NotProved extends Error {}

const fail = (why: string): never => {
  throw new NotProved(why);
};

function base64(text: string, what: string): Uint8Array<ArrayBuffer> {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) fail(`${what} is not base64`);
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  let again = '';
  for (const byte of bytes) again += String.fromCharCode(byte);
  // The one spelling of it: two texts for the same bytes are no good in a proof.
  return btoa(again) === text ? bytes : fail(`${what} has another spelling`);
}

/** A number in its one spelling. */
function whole(text: string | undefined, what: string): bigint {
  return text !== undefined && /^(0|[1-9][0-9]{0,19})$/.test(text) ? BigInt(text) : fail(`${what} is not a number`);
}

const sha256 = async (...parts: Uint8Array<ArrayBuffer>[]): Promise<Uint8Array<ArrayBuffer>> => {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest('SHA-256', all));
};

const leafHash = (entry: Uint8Array<ArrayBuffer>) => sha256(Uint8Array.of(0), entry);
const nodeHash = (left: Uint8Array<ArrayBuffer>, right: Uint8Array<ArrayBuffer>) => sha256(Uint8Array.of(1), left, right);
const isSame = (one: Uint8Array, other: Uint8Array) => one.length === other.length && one.every((byte, at) => byte === other[at]);
export const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** Whether the hashes lead from the leaf to the root (RFC 9162, section 2.1.3.2). */
export async function isIncluded(
  leaf: Uint8Array<ArrayBuffer>,
  index: bigint,
  size: bigint,
  hashes: Uint8Array<ArrayBuffer>[],
  root: Uint8Array,
): Promise<boolean> {
  if (index >= size) return false;
  let [node, last, hash] = [index, size - 1n, leaf];
  for (const step of hashes) {
    if (last === 0n) return false;
    if ((node & 1n) === 1n || node === last) {
      hash = await nodeHash(step, hash);
      while ((node & 1n) === 0n && node !== 0n) {
        node >>= 1n;
        last >>= 1n;
      }
    } else {
      hash = await nodeHash(hash, step);
    }
    node >>= 1n;
    last >>= 1n;
  }
  return last === 0n && isSame(hash, root);
}

interface Key {
  name: string;
  id: Uint8Array<ArrayBuffer>;
  key: Uint8Array<ArrayBuffer>;
}

/** A public key as `NAME+ID+KEY` (c2sp.org/signed-note), whose id has to be that of its name and key. */
async function readKey(text: string): Promise<Key> {
  const [, name, id, encoded] = /^([^+\s]+)\+([0-9a-f]{8})\+(\S+)$/.exec(text.trim()) ?? fail('the key is not NAME+ID+KEY');
  if (name === undefined || id === undefined || encoded === undefined) return fail('the key is not NAME+ID+KEY');
  const bytes = base64(encoded, 'the key');
  if (bytes.length !== 33 || bytes[0] !== ED25519) fail('the key is not one of Ed25519');
  const digest = await sha256(encoder.encode(`${name}\n`), bytes);
  if (hex(digest.slice(0, 4)) !== id) fail('the id of the key is not its own');
  return { name, id: digest.slice(0, 4), key: bytes.slice(1) };
}

interface Tree {
  size: bigint;
  root: Uint8Array<ArrayBuffer>;
}

/** Opens a checkpoint (c2sp.org/tlog-checkpoint) that has to be signed by this key. */
async function openCheckpoint(note: string, key: Key): Promise<Tree> {
  const end = note.lastIndexOf('\n\n');
  if (end < 0 || !note.endsWith('\n')) fail('the checkpoint is not a signed note');
  const text = note.slice(0, end + 1);
  const [origin, digits, encoded] = text.split('\n');
  if (origin !== key.name) fail('the checkpoint is of another log');
  const root = base64(encoded ?? '', 'the root');
  if (root.length !== 32) fail('the root is not a hash');
  const size = whole(digits, 'the size');
  const public_ = await crypto.subtle.importKey('raw', key.key, 'Ed25519', false, ['verify']);
  for (const line of note.slice(end + 2).split('\n')) {
    const [, name, signature] = /^— (\S+) (\S+)$/.exec(line) ?? [];
    if (name !== key.name || signature === undefined) continue;
    const bytes = base64(signature, 'the signature');
    if (!isSame(bytes.slice(0, 4), key.id)) continue;
    const isGood = await crypto.subtle.verify('Ed25519', public_, bytes.slice(4), encoder.encode(text));
    return isGood ? { size, root } : fail('the signature of the checkpoint is wrong');
  }
  return fail('the checkpoint is not signed by this key');
}

/** Verifies a proof by a public key, or throws why it proves nothing. */
export async function verify(proof: string, publicKey: string): Promise<Verified> {
  const key = await readKey(publicKey);
  const cut = proof.indexOf('\n\n');
  if (cut < 0) fail('it is not a proof');
  const [first, extra, index, ...lines] = proof.slice(0, cut).split('\n');
  if (first !== PROOF || !extra?.startsWith('extra ') || !index?.startsWith('index ')) fail('it is not a proof of an entry');
  const bytes = base64(extra?.slice(6) ?? '', 'the entry');
  const entry = whole(index?.slice(6), 'the index');
  const hashes = lines.map((line) => base64(line, 'a hash'));
  if (hashes.length > MAX_HASHES || hashes.some((hash) => hash.length !== 32)) fail('a hash is not one');
  const tree = await openCheckpoint(proof.slice(cut + 2), key);
  if (!(await isIncluded(await leafHash(bytes), entry, tree.size, hashes, tree.root))) fail('the entry is not in the signed tree');
  return { entry, size: tree.size, log: key.name, root: hex(tree.root), bytes };
}
