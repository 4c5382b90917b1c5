// A session of HTTP: each exchange as a bar from its head to the end of its answer.
import { useMemo, useState } from 'react';
import type { FoundRequest, TapeLine } from '../../api/client';
import { type Exchange, exchanges } from '../../lib/replay';
import { bytes, clock } from '../../lib/time';
import { type Column, Rows } from '../../ui/Rows';
import { Badge, Visible } from '../../ui/parts';

export function Waterfall({ lines }: { lines: TapeLine[]; decided: Map<string, FoundRequest> }) {
  const found = useMemo(() => exchanges(lines), [lines]);
  const [open, setOpen] = useState<Exchange>();
  const begin = found[0]?.begin ?? 0;
  const whole = Math.max(1, Math.max(...found.slice(-500).map((one) => one.end), begin) - begin);
  const left = (millis: number) => `${(100 * (millis - begin)) / whole}%`;
  const columns: Column<Exchange>[] = [
    {
      id: 'what', header: 'What', width: 'minmax(12rem, 2fr)',
      cell: (one) => (
        <button type="button" className="link" aria-expanded={open === one} onClick={() => setOpen(open === one ? undefined : one)}>
          <strong>{one.asked?.method ?? '?'}</strong> <Visible text={one.asked?.path ?? 'its head is not on the tape'} />
        </button>
      ),
    },
    { id: 'status', header: 'Status', width: '6rem', cell: (one) => <Status of={one} /> },
    { id: 'at', header: 'At', width: '8rem', cell: (one) => clock(one.begin) },
    {
      id: 'bar', header: 'Time', width: 'minmax(10rem, 3fr)',
      cell: (one) => (
        <div className="bar">
          <span style={{ left: left(one.begin), width: `max(3px, ${(100 * (one.end - one.begin)) / whole}%)` }} />
          <em>{one.ended ? `${one.ended.millis} ms` : '…'}</em>
        </div>
      ),
    },
    { id: 'size', header: 'Answer', width: '6rem', cell: (one) => (one.ended?.output ? bytes(one.ended.output.bytes) : '') },
  ];
  return (
    <Rows
      label="Exchanges"
      rows={found}
      columns={columns}
      keyOf={(one) => `${one.channel}-${one.begin}-${one.asked?.path ?? ''}`}
      more={(one) => one === open && <Heads of={one} />}
    />
  );
}

function Status({ of }: { of: Exchange }) {
  const status = of.ended?.status ?? of.answered?.status;
  if (status == null) return <Badge of="none" tone="warn" />;
  return <Badge of={String(status)} tone={status < 400 ? 'good' : 'bad'} />;
}

function Heads({ of }: { of: Exchange }) {
  return (
    <div className="heads">
      {of.ended?.error && (
        <p className="warning">
          <Visible text={of.ended.error} />
        </p>
      )}
      {[of.asked, of.answered].map(
        (head) =>
          head && (
            <section key={head.kind} aria-label={head.kind === 'asked' ? 'Asked' : 'Answered'}>
              <h3>
                <Visible text={head.kind === 'asked' ? `${head.method} ${head.path}` : `Status ${head.status}`} />
              </h3>
              <dl>
                {head.fields.map((field, at) => (
                  <div key={at}>
                    <dt>
                      <Visible text={field.name} />
                    </dt>
                    <dd>
                      <Visible text={field.value} />
                    </dd>
                  </div>
                ))}
              </dl>
            </section>
          ),
      )}
    </div>
  );
}
