import { beforeAll, describe, expect, it } from 'vitest';
import { readFileSync } from 'node:fs';
import { isIncluded, verify } from '../src/lib/proof';

type Bytes = Uint8Array<ArrayBuffer>;
const encoder = new TextEncoder();
const encode = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const sha = async (...parts: Uint8Array[]): Promise<Bytes> => new Uint8Array(await crypto.subtle.digest('SHA-256', Buffer.concat(parts)));
const leaf = (entry: Uint8Array) => sha(Uint8Array.of(0), entry);
const split = (size: number) => 2 ** (Math.ceil(Math.log2(size)) - 1);

// As RFC 6962, section 2.1 writes it, and not as the code under test goes about it.
async function root(leaves: Bytes[]): Promise<Bytes> {
  if (leaves.length === 1 && leaves[0]) return leaves[0];
  const middle = split(leaves.length);
  return sha(Uint8Array.of(1), await root(leaves.slice(0, middle)), await root(leaves.slice(middle)));
}
async function path(index: number, leaves: Bytes[]): Promise<Bytes[]> {
  if (leaves.length === 1) return [];
  const middle = split(leaves.length);
  return index < middle
    ? [...(await path(index, leaves.slice(0, middle))), await root(leaves.slice(middle))]
    : [...(await path(index - middle, leaves.slice(middle))), await root(leaves.slice(0, middle))];
}

class Log {
  leaves: Bytes[] = [];
  constructor(
    readonly name: string,
    readonly keys: CryptoKeyPair,
    readonly id: Bytes,
    readonly publicKey: string,
  ) {}
  static async make(name: string) {
    const keys = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;
    const raw = new Uint8Array(await crypto.subtle.exportKey('raw', keys.publicKey));
    const typed = Uint8Array.from([1, ...raw]);
    const id = (await sha(encoder.encode(`${name}\n`), typed)).slice(0, 4);
    return new Log(name, keys, id, `${name}+${Buffer.from(id).toString('hex')}+${encode(typed)}`);
  }
  async note(size = this.leaves.length) {
    const text = `${this.name}\n${size}\n${encode(await root(this.leaves.slice(0, size)))}\n`;
    const signature = new Uint8Array(await crypto.subtle.sign('Ed25519', this.keys.privateKey, encoder.encode(text)));
    return `${text}\n— ${this.name} ${encode(Uint8Array.from([...this.id, ...signature]))}\n`;
  }
  async proof(index: number, entry: Uint8Array) {
    const hashes = (await path(index, this.leaves)).map((hash) => `${encode(hash)}\n`).join('');
    return `c2sp.org/tlog-proof@v1\nextra ${encode(entry)}\nindex ${index}\n${hashes}\n${await this.note()}`;
  }
}

describe('proofs', () => {
  const entry = (number: number) => encoder.encode(`entry ${number}`);
  let log: Log;
  beforeAll(async () => {
    log = await Log.make('sluice.example/journal');
    for (let number = 0; number < 13; number += 1) log.leaves.push(await leaf(entry(number)));
  });

  it('hold for every entry of every tree', async () => {
    for (let size = 1; size <= log.leaves.length; size += 1) {
      const leaves = log.leaves.slice(0, size);
      for (let index = 0; index < size; index += 1) {
        const [own, hashes, top] = [leaves[index] as Bytes, await path(index, leaves), await root(leaves)];
        expect(await isIncluded(own, BigInt(index), BigInt(size), hashes, top)).toBe(true);
        expect(await isIncluded(own, BigInt(size), BigInt(size), hashes, top)).toBe(false);
        if (size > 1) expect(await isIncluded(own, BigInt((index + 1) % size), BigInt(size), hashes, top)).toBe(false);
        if (hashes.length > 0) expect(await isIncluded(own, BigInt(index), BigInt(size), hashes.slice(1), top)).toBe(false);
        expect(await isIncluded(own, BigInt(index), BigInt(size), [...hashes, top], top)).toBe(false);
      }
    }
  });

  it('say what they prove', async () => {
    const verified = await verify(await log.proof(5, entry(5)), log.publicKey);
    expect([verified.entry, verified.size, verified.log]).toEqual([5n, 13n, 'sluice.example/journal']);
    expect(new TextDecoder().decode(verified.bytes)).toBe('entry 5');
  });

  it('prove nothing when anything is changed', async () => {
    const good = await log.proof(5, entry(5));
    const other = await Log.make('sluice.example/journal');
    other.leaves = log.leaves;
    const changed = [
      good.replace(/extra \S+/, `extra ${encode(entry(6))}`),
      good.replace('index 5', 'index 4'),
      good.replace('index 5', 'index 05'),
      good.replace('\n13\n', '\n14\n'),
      good.replace('sluice.example/journal\n13', 'sluice.example/other\n13'),
      good.replace('tlog-proof@v1', 'tlog-proof@v2'),
      await other.proof(5, entry(5)),
      good.slice(0, -3),
      '',
      'x\n\ny',
    ];
    for (const text of changed) await expect(verify(text, log.publicKey), text).rejects.toThrow();
    const lines = good.split('\n');
    for (let at = 0; at < lines.length; at += 1) {
      const line = lines[at] as string;
      if (line.length < 8) continue;
      const flipped = line.slice(0, -3) + (line.at(-3) === 'A' ? 'B' : 'A') + line.slice(-2);
      const text = lines.with(at, flipped).join('\n');
      await expect(verify(text, log.publicKey), text).rejects.toThrow();
    }
    await expect(verify(good, other.publicKey)).rejects.toThrow('not signed by this key');
    await expect(verify(good, log.publicKey.replace(/\+[0-9a-f]{8}\+/, '+00000000+'))).rejects.toThrow('not its own');
  });

  it('of the ledger itself hold', async () => {
    const file = (name: string) => readFileSync(new URL(`./proof/${name}`, import.meta.url), 'utf8');
    const verified = await verify(file('entry.tlog-proof'), file('journal.pub'));
    expect([verified.entry, verified.size]).toEqual([1n, 3n]);
  });
});
