import { Link } from '@tanstack/react-router';
import { type ReactNode, useEffect, useMemo, useState } from 'react';
import type { Subject } from '../api/client';
import { tokens } from '../lib/sql';
import { countOdd, pieces } from '../lib/text';
import { moment, span } from '../lib/time';

/** A text that somebody else wrote. What cannot be seen in it is shown as what it is. */
export function Visible({ text }: { text: string }) {
  const found = useMemo(() => pieces(text), [text]);
  return (
    <span className="visible">
      {found.map((piece, at) =>
        piece.odd ? (
          <span key={at} className="odd">
            {piece.odd}
          </span>
        ) : (
          <span key={at}>{piece.text}</span>
        ),
      )}
    </span>
  );
}

/** A whole statement, coloured; nothing of it is left out. */
export function Statement({ text, label = 'Statement' }: { text: string; label?: string }) {
  const parts = useMemo(() => tokens(text), [text]);
  const odd = countOdd(text);
  return (
    <>
      {odd > 0 && (
        <p className="warning" role="note">
          {odd === 1 ? 'One character' : `${odd} characters`} in it cannot be seen or change how it is read: each is shown by its
          name.
        </p>
      )}
      <pre className="statement" tabIndex={0} role="group" aria-label={label}>
        <code>
          {parts.map((part, at) => (
            <span key={at} className={`sql-${part.kind}`}>
              <Visible text={part.text} />
            </span>
          ))}
        </code>
      </pre>
    </>
  );
}

/** `alias|id`. */
export function Name({ of }: { of: Subject | null | undefined }) {
  if (!of) return <span className="quiet">not known</span>;
  return (
    <span className="name">
      <span className="quiet">
        <Visible text={of.issuer} />|
      </span>
      <Visible text={of.id} />
    </span>
  );
}

export function Names({ of, behalf }: { of: Subject | null | undefined; behalf: Subject[] }) {
  return (
    <>
      <Name of={of} />
      {behalf.map((one, at) => (
        <span key={at} className="quiet">
          {' '}
          for <Name of={one} />
        </span>
      ))}
    </>
  );
}

const TONES: Record<string, string> = {
  allow: 'good', approved: 'good', consumed: 'good', deny: 'bad', denied: 'bad', ask: 'warn', pending: 'warn',
  expired: 'dim', withdrawn: 'dim', live: 'good', ended: 'dim',
};

export function Badge({ of, tone }: { of: string; tone?: string }) {
  return <span className={`badge ${tone ?? TONES[of] ?? ''}`}><Visible text={of} /></span>;
}

/** When there is nothing: why, and what to do next. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Busy({ of }: { of: string }) {
  return (
    <p className="busy" role="status">
      <span className="spinner" aria-hidden="true" /> {of}…
    </p>
  );
}

export function Trouble({ error, again }: { error: unknown; again?: () => void }) {
  const detail = error instanceof Error ? error.message : String(error);
  return (
    <div className="trouble" role="alert">
      <strong>That did not work.</strong> <Visible text={detail} />
      {again && (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Missing() {
  return (
    <Empty title="There is no such page">
      <p>
        <Link to="/">Back to the overview</Link>
      </p>
    </Empty>
  );
}

/** The present, every so often. */
export function useNow(every = 1000): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

export function Left({ until }: { until: number }) {
  const now = useNow();
  const left = until - now;
  return <span className={left < 60_000 ? 'urgent' : ''}>{left > 0 ? `${span(left)} left` : 'its time is over'}</span>;
}

export function At({ millis }: { millis: number }) {
  return <time dateTime={new Date(millis).toISOString()}>{moment(millis)}</time>;
}

/** Of links to one page with other searches, only the right one is the current. */
export const EXACT = { exact: true, includeSearch: true } as const;

/** A label and what it says, in a list of such. */
export function Fact({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className="fact">
      <dt>
        <Visible text={label} />
      </dt>
      <dd>{children}</dd>
    </div>
  );
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Sluice`;
  }, [title]);
}
