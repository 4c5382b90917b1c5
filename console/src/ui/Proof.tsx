// The badge that says whether an entry is in the journal, because this browser has looked.
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { answered, api } from '../api/client';
import { download } from '../lib/csv';
import { type Verified, verify } from '../lib/proof';
import { Badge, Busy, Trouble } from './parts';

const KEY = 'sluice.journal-key';

export function Proof({ entry }: { entry: number }) {
  const [kept, setKept] = useState(() => localStorage.getItem(KEY) ?? '');
  const check = useMutation({
    mutationFn: async () => {
      const found = await answered(api.GET('/v1/audit/entries/{entry}/proof', { params: { path: { entry } } }));
      // A key that was seen before says more than the one that comes along: whoever exchanged the journal has another.
      const key = kept || found.key;
      const verified = await verify(found.proof, key);
      if (verified.entry !== BigInt(entry)) throw new Error('the proof is about another entry');
      return { verified, key, text: found.proof, isOwn: kept === '' };
    },
  });
  const keep = (key: string) => {
    if (key) localStorage.setItem(KEY, key);
    else localStorage.removeItem(KEY);
    setKept(key);
    check.reset();
  };
  return (
    <section className="proof" aria-label={`Proof of entry ${entry}`}>
      <div className="buttons begin">
        <button type="button" onClick={() => check.mutate()} disabled={check.isPending}>
          Verify entry {entry.toLocaleString()}
        </button>
        {check.isPending && <Busy of="Verifying" />}
        {check.data && <Shown of={check.data.verified} />}
        {check.data && (
          <button type="button" onClick={() => download(`entry-${entry}.tlog-proof`, 'text/plain', check.data.text)}>
            Download the proof
          </button>
        )}
      </div>
      {check.error && (
        <>
          <Trouble error={check.error} />
          {kept && (
            <button type="button" onClick={() => keep('')}>
              Forget the key that this browser keeps
            </button>
          )}
        </>
      )}
      {check.data && (
        <p className="quiet">
          This browser computed it: the entry's {check.data.verified.bytes.length.toLocaleString()} bytes are in the first{' '}
          {check.data.verified.size.toLocaleString()} entries, whose root <code className="hash">{check.data.verified.root}</code> is signed.{' '}
          {check.data.isOwn ? (
            <>
              The public key came from Sluice itself.{' '}
              <button type="button" className="link" onClick={() => keep(check.data.key)}>
                Keep it, and hold Sluice to it from now on
              </button>
            </>
          ) : (
            'The public key is the one that this browser keeps.'
          )}{' '}
          What the bytes say is decoded by Sluice; <code>sluice audit check-proof</code> reads them elsewhere.
        </p>
      )}
    </section>
  );
}

function Shown({ of }: { of: Verified }) {
  return (
    <span role="status">
      <Badge of="in the journal" tone="good" />{' '}
      <span className="quiet">signed by {of.log}</span>
    </span>
  );
}
