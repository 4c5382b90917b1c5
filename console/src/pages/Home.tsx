import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';
import { type FoundRequest, type Schemas, answered, api } from '../api/client';
import { health, live, pending, revision, useMay } from '../api/queries';
import { toLocal, toUtc } from '../lib/time';
import { Badge, Busy, Empty, Left, Name, Trouble, Visible, useTitle } from '../ui/parts';

/** The two questions, what waits, and how Sluice is. */
export function Home() {
  useTitle('Overview');
  const [mayAudit, mayApprove, maySessions, mayRead] = [
    useMay('admin:audit'),
    useMay('admin:approve'),
    useMay('admin:sessions'),
    useMay('admin:read'),
  ];
  if (!mayAudit && !mayApprove && !maySessions && !mayRead) {
    return (
      <>
        <h1>Overview</h1>
        <Empty title="You are signed in">
          <p>
            No policy lets you see what others do. You can <Link to="/approvals" search={{ ask: 'window' }}>ask for a window</Link>,
            and take back what you asked for.
          </p>
        </Empty>
      </>
    );
  }
  return (
    <>
      <h1>Overview</h1>
      {mayAudit && (
        <section className="questions" aria-label="Questions">
          <WhoTouched />
          <DidSee />
        </section>
      )}
      <div className="cards">
        {mayApprove && <Waiting />}
        {maySessions && <Connected />}
        {mayRead && <Condition />}
      </div>
    </>
  );
}

const field = (form: FormData, name: string) => String(form.get(name) ?? '').trim();

/** Leaves out what is empty: the API takes only what narrows. */
const given = <T extends Record<string, string | undefined>>(query: T) =>
  Object.fromEntries(Object.entries(query).filter(([, value]) => value)) as { [K in keyof T]?: string };

function WhoTouched() {
  const [asked, setAsked] = useState<{ table?: string; since?: string; until?: string }>();
  const now = Date.now();
  const found = useQuery({
    queryKey: ['touched', asked],
    enabled: asked !== undefined,
    queryFn: () => answered(api.GET('/v1/audit/search', { params: { query: { ...asked, limit: 10_000 } } })),
  });
  const ask = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setAsked(given({ table: field(form, 'table'), since: toUtc(field(form, 'since')), until: toUtc(field(form, 'until')) }));
  };
  return (
    <form className="question" onSubmit={ask} aria-label="Who touched">
      <h2>Who touched …?</h2>
      <div className="sentence">
        <label>
          Who touched <input name="table" required placeholder="public.cards" autoComplete="off" spellCheck={false} />
        </label>
        <label>
          between <input name="since" type="datetime-local" defaultValue={toLocal(now - 86_400_000)} />
        </label>
        <label>
          and <input name="until" type="datetime-local" defaultValue={toLocal(now + 3_600_000)} />?
        </label>
        <button type="submit" className="good">
          Ask
        </button>
      </div>
      {found.isFetching && <Busy of="Searching the record" />}
      {found.error && <Trouble error={found.error} />}
      {found.data && asked && !found.isFetching && <Touched found={found.data} asked={asked} />}
    </form>
  );
}

function Touched({ found, asked }: { found: FoundRequest[]; asked: { table?: string; since?: string; until?: string } }) {
  const people = new Map<string, { of: FoundRequest['subject']; allowed: number; refused: number; unknown: number }>();
  for (const one of found) {
    const key = one.subject ? `${one.subject.issuer}|${one.subject.id}` : '';
    const line = people.get(key) ?? { of: one.subject ?? null, allowed: 0, refused: 0, unknown: 0 };
    if (one.outcome === 'allow') line.allowed += 1;
    else line.refused += 1;
    if (one.outcome === 'allow' && !one.completion) line.unknown += 1;
    people.set(key, line);
  }
  const link = (
    <Link to="/audit" search={asked}>
      Every request
    </Link>
  );
  if (people.size === 0) {
    return (
      <div className="answer" role="status">
        <p>
          <strong>Nobody.</strong> No request in the record touched it then.
        </p>
      </div>
    );
  }
  return (
    <div className="answer" role="status">
      <p>
        <strong>{people.size === 1 ? 'One subject' : `${people.size} subjects`}</strong>, in {found.length}
        {found.length >= 10_000 ? ' requests or more (the newest 10,000 were looked at)' : found.length === 1 ? ' request' : ' requests'}
        . {link}
      </p>
      <ul>
        {[...people].map(([key, line]) => (
          <li key={key}>
            <Name of={line.of} />: {line.allowed} allowed, {line.refused} refused
            {line.unknown > 0 && `; of ${line.unknown} nobody knows how they ended`}
          </li>
        ))}
      </ul>
    </div>
  );
}

function DidSee() {
  const [asked, setAsked] = useState<{ subject: string; class: string; now: boolean }>();
  const { data: known } = useQuery({ ...revision, enabled: useMay('admin:read') });
  const found = useQuery({
    queryKey: ['saw', asked],
    enabled: asked !== undefined,
    queryFn: () => answered(api.GET('/v1/audit/disclosed', { params: { query: asked ?? {} } })),
  });
  const ask = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setAsked({ subject: field(form, 'subject'), class: field(form, 'class'), now: form.get('now') !== null });
  };
  return (
    <form className="question" onSubmit={ask} aria-label="Did somebody ever see">
      <h2>Did … ever see …?</h2>
      <div className="sentence">
        <label>
          Did <input name="subject" required placeholder="order-service" autoComplete="off" spellCheck={false} />
        </label>
        <label>
          ever see <input name="class" required list="classes" placeholder="card_number" autoComplete="off" spellCheck={false} />?
        </label>
        <datalist id="classes">
          {known?.classes.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        <label className="check">
          <input name="now" type="checkbox" /> by what is of that class today
        </label>
        <button type="submit" className="good">
          Ask
        </button>
      </div>
      {found.isFetching && <Busy of="Searching the record" />}
      {found.error && <Trouble error={found.error} />}
      {found.data && asked && !found.isFetching && <Seen found={found.data} asked={asked} />}
    </form>
  );
}

function Seen({ found, asked }: { found: Schemas['DisclosedView']; asked: { subject: string; class: string; now: boolean } }) {
  const most = found.clear_at_most ?? found.clear;
  const search = { subject: asked.subject, class: asked.class, ...(asked.now ? { now: 'true' } : {}) };
  const count = (number: number, what: string) => `${number.toLocaleString()} ${what}${number === 1 ? '' : 's'}`;
  const verdict =
    found.clear > 0 ? 'Yes.' : most > 0 ? 'Perhaps.' : found.unknown > 0 ? 'Not that anybody knows.' : found.masked > 0 ? 'Only masked.' : 'No.';
  return (
    <div className="answer" role="status">
      <p>
        <strong>{verdict}</strong> <Visible text={asked.subject} /> was shown {count(found.clear, 'value')} of{' '}
        <Visible text={asked.class} /> in clear
        {most > found.clear && ` (${most.toLocaleString()} at most)`} and {found.masked.toLocaleString()} masked, in{' '}
        {count(found.requests, 'request')}.
        {found.unknown > 0 && (
          <>
            {' '}
            Of {count(found.unknown, 'more request')} the end is not known: each may have shown some.
          </>
        )}
      </p>
      {found.requests + found.unknown > 0 && (
        <p>
          <Link to="/audit" search={search}>
            Which requests
          </Link>
        </p>
      )}
    </div>
  );
}

function Waiting() {
  const { data, error } = useQuery(pending);
  return (
    <section className="card" aria-label="Waiting for an answer">
      <h2>Waiting for an answer</h2>
      {error && <Trouble error={error} />}
      {data?.length === 0 && <p className="quiet">Nothing. What policies ask about shows here at once.</p>}
      <ul className="plain">
        {data?.slice(0, 5).map((one) => (
          <li key={one.id}>
            <Link to="/approvals/$id" params={{ id: one.id }}>
              <Visible text={one.asked.subject.id} /> at <Visible text={one.asked.target} />
            </Link>{' '}
            <Left until={one.asked.expires_at} />
          </li>
        ))}
      </ul>
      {(data?.length ?? 0) > 5 && <Link to="/approvals">All {data?.length}</Link>}
    </section>
  );
}

function Connected() {
  const { data, error } = useQuery(live);
  const targets = new Map<string, number>();
  for (const one of data ?? []) targets.set(one.target, (targets.get(one.target) ?? 0) + 1);
  return (
    <section className="card" aria-label="Connected now">
      <h2>Connected now</h2>
      {error && <Trouble error={error} />}
      {data && (
        <p>
          <Link to="/sessions">
            {data.length} live {data.length === 1 ? 'session' : 'sessions'}
          </Link>
        </p>
      )}
      <ul className="plain">
        {[...targets].slice(0, 6).map(([target, count]) => (
          <li key={target}>
            <Link to="/sessions" search={{ target }}>
              <Visible text={target} />
            </Link>{' '}
            {count}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Condition() {
  const { data, error } = useQuery(health);
  return (
    <section className="card" aria-label="How Sluice is">
      <h2>How Sluice is</h2>
      {error && <Trouble error={error} />}
      {data && (
        <>
          <p>
            {data.journal_fault ? (
              <Badge of={`the journal cannot be written: ${data.journal_fault}`} tone="bad" />
            ) : (
              <Badge of={data.is_draining ? 'draining' : 'ready'} tone={data.is_draining ? 'warn' : 'good'} />
            )}
          </p>
          <p className="quiet">
            {data.entries.toLocaleString()} entries in the journal, {data.checkpoint?.size.toLocaleString() ?? 'none'} of them signed.{' '}
            <Link to="/targets">More</Link>
          </p>
        </>
      )}
    </section>
  );
}
