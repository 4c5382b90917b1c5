import { useInfiniteQuery, useMutation, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { type FormEvent, useEffect, useId, useMemo, useRef, useState } from 'react';
import { type Schemas, answered, api } from '../api/client';
import { useMay } from '../api/queries';
import { At, Badge, Busy, Empty, Fact, Name, Trouble, Visible, useTitle } from '../ui/parts';
import { NotForYou } from '../ui/Shell';

type Row = Schemas['AccessRowView'];
type Summary = Schemas['AccessSummaryView'];
type Answer = Schemas['AccessAnswerView'];
type Place = Schemas['AccessPlaceView'];
type Cell = Schemas['AccessCellView'];

/** Who may do and see what, and why. */
export function Access() {
  useTitle('Access');
  const search = useSearch({ from: '/access' });
  const navigate = useNavigate();
  const mayAudit = useMay('admin:audit');
  const change = (changed: Partial<typeof search>) => {
    const all = { ...search, ...changed };
    void navigate({ to: '/access', search: Object.fromEntries(Object.entries(all).filter(([, value]) => value)), replace: true });
  };
  if (!mayAudit) {
    return (
      <>
        <h1>Access</h1>
        <NotForYou verb="admin:audit" />
      </>
    );
  }
  return (
    <>
      <h1>Access</h1>
      <p className="quiet">
        What the policies in force say of everybody who ever opened a session, in the groups that they last were in. What depends on the
        time, the place or the reason is marked, and not guessed.
      </p>
      <div className="filters" role="search">
        <label className="field">
          <span>Subject</span>
          <input type="search" value={search.subject ?? ''} onChange={(event) => change({ subject: event.target.value })} />
        </label>
        <label className="field">
          <span>Target</span>
          <input type="search" value={search.target ?? ''} onChange={(event) => change({ target: event.target.value })} />
        </label>
      </div>
      <Matrix subject={search.subject} target={search.target} open={(who, at) => change({ who, at, kind: '', groups: '' })} />
      <Think ask={(who, at, kind, groups) => change({ who, at, kind, groups })} />
      {search.who && search.at && (
        <OneCell who={search.who} at={search.at} kind={search.kind} groups={search.groups} close={() => change({ who: '', at: '', kind: '', groups: '' })} />
      )}
      <Unused />
    </>
  );
}

const DAY = 24 * 60 * 60 * 1000;

/** Permits that decided nothing, and the policies without them. */
function Unused() {
  const [days, setDays] = useState('30');
  const [id, setId] = useState<string>();
  const begin = useMutation({
    mutationFn: () =>
      answered(api.POST('/v1/policy/unused', { body: { since: new Date(Date.now() - Number(days) * DAY).toISOString() } })),
    onSuccess: (run) => setId(run.id),
  });
  const run = useQuery({
    queryKey: ['unused', id],
    queryFn: () => answered(api.GET('/v1/policy/unused/{id}', { params: { path: { id: id ?? '' } } })),
    enabled: id !== undefined,
    refetchInterval: (query) => (query.state.data?.status === 'running' ? 500 : false),
  });
  const cancel = useMutation({
    mutationFn: () => answered(api.POST('/v1/policy/unused/{id}/cancel', { params: { path: { id: id ?? '' } } })),
    onSuccess: () => void run.refetch(),
  });
  const now = id === undefined ? undefined : run.data;
  const runs = begin.isPending || now?.status === 'running';
  const found = now?.found;
  return (
    <section aria-label="Permits that nobody needs">
      <h2>Permits that nobody needs</h2>
      <div className="filters">
        <label className="field">
          <span>In the last days</span>
          <input type="number" min="1" max="3650" value={days} onChange={(event) => setDays(event.target.value)} />
        </label>
        <button type="button" onClick={() => begin.mutate()} disabled={runs || !(Number(days) >= 1)}>
          {runs ? 'Looking…' : 'Look for unused permits'}
        </button>
      </div>
      {begin.error && <Trouble error={begin.error} />}
      {run.error && <Trouble error={run.error} again={() => void run.refetch()} />}
      {now?.status === 'running' && (
        <p role="status">
          <progress value={now.read} max={Math.max(now.entries, 1)} aria-label="How much of the record was read" />{' '}
          <button type="button" className="small" onClick={() => cancel.mutate()} disabled={cancel.isPending}>
            Cancel
          </button>
        </p>
      )}
      {now?.status === 'cancelled' && <p role="status">It was cancelled.</p>}
      {now?.status === 'failed' && <Trouble error={new Error(now.failure ?? 'The log of Sluice says why.')} />}
      {found && (
        <div role="status">
          {found.known_since !== null && found.known_since !== undefined && (
            <p className="note">
              The record begins at <At millis={found.known_since} />: nothing is known before.
            </p>
          )}
          {found.gaps > 0 && <p className="warning">The record has {found.gaps} gaps: what happened then is not known.</p>}
          <p>
            {found.unused.length} permits decided nothing. Without them {found.changed_requests} of {found.requests.toLocaleString()} requests and{' '}
            {found.changed_sessions} of {found.sessions.toLocaleString()} sessions would go otherwise.
          </p>
          <ul className="plain">
            {[...found.unused.map((one) => ({ ...one, as: 'unused' })), ...found.not_told.map((one) => ({ ...one, as: 'not told' }))].map((one) => (
              <li key={one.id}>
                <Badge of={one.as} tone={one.as === 'unused' ? 'warn' : 'dim'} /> <code>{one.id}</code>{' '}
                <span className="quiet">
                  <Visible text={one.principal} />
                </span>
              </li>
            ))}
          </ul>
          {Object.entries(found.files).map(([name, text]) => (
            <details key={name}>
              <summary>
                <code>
                  <Visible text={name} />
                </code>{' '}
                without them
              </summary>
              <pre tabIndex={0} className="cedar">
                <Visible text={text} />
              </pre>
            </details>
          ))}
        </div>
      )}
    </section>
  );
}

function Matrix({ subject, target, open }: { subject?: string | undefined; target?: string | undefined; open: (who: string, at: string) => void }) {
  const found = useInfiniteQuery({
    queryKey: ['access', subject ?? ''],
    queryFn: ({ pageParam, signal }) =>
      answered(
        api.GET('/v1/access', {
          params: { query: { limit: 20, ...(subject ? { subject } : {}), ...(pageParam ? { after: pageParam } : {}) } },
          signal,
        }),
      ),
    initialPageParam: '',
    getNextPageParam: (page) => page.next ?? undefined,
    staleTime: 30_000,
  });
  const pages = found.data?.pages ?? [];
  const targets = useMemo(
    () => (pages[0]?.targets ?? []).filter((one) => !target || one.name.toLowerCase().includes(target.toLowerCase())),
    [pages, target],
  );
  const rows = pages.flatMap((page) => page.subjects);
  if (found.isPending) return <Busy of="Asking the policies" />;
  if (found.error && rows.length === 0) return <Trouble error={found.error} again={() => void found.refetch()} />;
  if (rows.length === 0) {
    return (
      <Empty title={subject ? 'Nobody of that name opened a session' : 'Nobody opened a session yet'}>
        <p>Ask about somebody below, by name and groups.</p>
      </Empty>
    );
  }
  return (
    <>
      <div className="matrix" tabIndex={0} role="region" aria-label="Subjects and targets">
        <table>
          <thead>
            <tr>
              <th scope="col">Subject</th>
              {targets.map((one) => (
                <th key={one.name} scope="col">
                  <Visible text={one.name} /> <span className="quiet">{one.protocol}</span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Subject key={`${row.subject.issuer}|${row.subject.id}`} row={row} targets={targets.map((one) => one.name)} open={open} />
            ))}
          </tbody>
        </table>
      </div>
      {pages.some((page) => !page.is_complete) && (
        <p className="warning" role="note">
          Not everything was asked in time.
        </p>
      )}
      {found.error && <Trouble error={found.error} again={() => void found.fetchNextPage()} />}
      {found.hasNextPage && (
        <button type="button" onClick={() => void found.fetchNextPage()} disabled={found.isFetchingNextPage}>
          {found.isFetchingNextPage ? 'Asking…' : 'More subjects'}
        </button>
      )}
    </>
  );
}

function Subject({ row, targets, open }: { row: Row; targets: string[]; open: (who: string, at: string) => void }) {
  const who = `${row.subject.issuer}|${row.subject.id}`;
  return (
    <tr>
      <th scope="row">
        <Name of={row.subject} />
        <span className="quiet">{row.groups ? <Visible text={row.groups.join(', ') || 'in no group'} /> : 'groups not known: sluice audit reindex'}</span>
      </th>
      {targets.map((target) => {
        const cell = row.targets.find((one) => one.target === target);
        return (
          <td key={target} data-target={target}>
            {cell ? <Short who={who} cell={cell} open={() => open(who, target)} /> : <span className="quiet">not known</span>}
          </td>
        );
      })}
    </tr>
  );
}

function Short({ who, cell, open }: { who: string; cell: Summary; open: () => void }) {
  const words = [
    cell.connect === 'deny' ? 'no way in' : cell.connect === 'depends' ? 'it depends' : '',
    cell.allow.length > 0 ? `may ${cell.allow.length}` : '',
    cell.ask.length > 0 ? `asks ${cell.ask.length}` : '',
    cell.clear.length > 0 ? `sees ${cell.clear.join(', ')}` : '',
  ].filter(Boolean);
  const tone = cell.connect === 'deny' ? 'dim' : cell.connect === 'depends' || cell.depends.length > 0 ? 'warn' : 'good';
  return (
    <button type="button" className="small cell" onClick={open}>
      <span className="hidden">
        {who} at {cell.target}:{' '}
      </span>
      <Badge of={cell.connect} tone={tone} /> <span>{words.slice(cell.connect === 'deny' ? 1 : 0).join(', ')}</span>
    </button>
  );
}

/** Asks about somebody who need not have been here. */
function Think({ ask }: { ask: (who: string, at: string, kind: string, groups: string) => void }) {
  const [who, setWho] = useState('');
  const [groups, setGroups] = useState('');
  const [kind, setKind] = useState('service');
  const [at, setAt] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    ask(who.trim(), at.trim(), kind, groups.trim() || ' ');
  };
  return (
    <details className="think">
      <summary>Ask about somebody else</summary>
      <form className="filters" onSubmit={submit}>
        <label className="field">
          <span>Subject, as alias|id</span>
          <input required pattern="[^|]+\|.+" value={who} onChange={(event) => setWho(event.target.value)} />
        </label>
        <label className="field">
          <span>Groups, separated by commas</span>
          <input value={groups} onChange={(event) => setGroups(event.target.value)} />
        </label>
        <label className="field">
          <span>Kind</span>
          <select value={kind} onChange={(event) => setKind(event.target.value)}>
            <option value="service">a program</option>
            <option value="user">a person</option>
          </select>
        </label>
        <label className="field">
          <span>Target</span>
          <input required value={at} onChange={(event) => setAt(event.target.value)} />
        </label>
        <button type="submit">Ask</button>
      </form>
    </details>
  );
}

interface Which {
  who: string;
  at: string;
  kind?: string | undefined;
  groups?: string | undefined;
}

function OneCell({ who, at, kind, groups, close }: Which & { close: () => void }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const found = useQuery({
    queryKey: ['access', 'cell', who, at, kind ?? '', groups ?? ''],
    queryFn: ({ signal }) =>
      answered(
        api.GET('/v1/access/cell', {
          params: { query: { subject: who, target: at, ...(kind ? { kind } : {}), ...(groups ? { groups } : {}) } },
          signal,
        }),
      ),
  });
  // Whoever opened it by keyboard goes on reading here.
  useEffect(() => heading.current?.focus(), [who, at, kind, groups]);
  return (
    <section className="card access-cell" aria-label={`${who} at ${at}`}>
      <h2 ref={heading} tabIndex={-1}>
        <Visible text={who} /> at <Visible text={at} />
      </h2>
      <button type="button" className="small" onClick={close}>
        Close
      </button>
      {found.isPending && <Busy of="Asking the policies" />}
      {found.error && <Trouble error={found.error} again={() => void found.refetch()} />}
      {found.data && <Detail cell={found.data} />}
    </section>
  );
}

function Detail({ cell }: { cell: Cell }) {
  const [shows, setShows] = useState('');
  const [needle, setNeedle] = useState('');
  return (
    <>
      <dl className="facts">
        <Fact label="Kind">{cell.kind}</Fact>
        <Fact label="Groups">{cell.groups.length > 0 ? <Visible text={cell.groups.join(', ')} /> : 'none'}</Fact>
        <Fact label="Revision">{cell.revision}</Fact>
      </dl>
      {!cell.is_complete && (
        <p className="warning" role="note">
          Not everything was asked in time.
        </p>
      )}
      <div className="filters">
        <label className="field">
          <span>Outcome</span>
          <select value={shows} onChange={(event) => setShows(event.target.value)}>
            <option value="">any</option>
            <option value="allow">allow</option>
            <option value="ask">ask</option>
            <option value="deny">deny</option>
            <option value="depends">depends</option>
          </select>
        </label>
        <label className="field">
          <span>Verb or object</span>
          <input type="search" value={needle} onChange={(event) => setNeedle(event.target.value)} />
        </label>
      </div>
      {cell.places.map((place) => (
        <OnePlace key={place.place} place={place} policies={cell.policies} shows={shows} needle={needle} />
      ))}
    </>
  );
}

function OnePlace({ place, policies, shows, needle }: { place: Place; policies: Cell['policies']; shows: string; needle: string }) {
  const id = useId();
  const fits = (one: Answer) =>
    (!needle || `${one.verb} ${one.object}`.toLowerCase().includes(needle.toLowerCase())) &&
    (!shows || (shows === 'depends' ? one.depends_on.length > 0 : one.outcome === shows || one.unbounded === shows));
  const answers = [place.connect, ...place.may].filter(fits);
  return (
    <section aria-labelledby={id}>
      <h3 id={id}>
        <Visible text={place.place} /> <span className="quiet">known by {place.known}</span>
      </h3>
      {place.cut && (
        <p className="warning" role="note">
          There are more objects than were asked about.
        </p>
      )}
      {answers.length === 0 && <p className="quiet">Nothing here is so.</p>}
      <ul className="plain answers-of">
        {answers.slice(0, 500).map((one, at) => (
          <li key={at}>
            <details>
              <summary>
                <Badge of={one.outcome} /> {one.unbounded && <Badge of={`unbounded: ${one.unbounded}`} tone="warn" />}
                {one.depends_on.length > 0 && <Badge of={`depends on ${one.depends_on.map((word) => word.replaceAll('_', ' ')).join(', ')}`} tone="warn" />}{' '}
                <code>{one.verb}</code> <Visible text={one.object} />
              </summary>
              <Why answer={one} policies={policies} />
            </details>
          </li>
        ))}
      </ul>
      {answers.length > 500 && <p className="quiet">{answers.length - 500} more: narrow what is shown.</p>}
      {place.sees.length > 0 && (
        <>
          <h4>What is seen</h4>
          <ul className="plain">
            {place.sees.map((one, at) => (
              <li key={at}>
                <Badge of={one.shown} tone={one.shown === 'clear' ? 'warn' : 'dim'} /> <code>{one.class}</code>{' '}
                {one.column ? <Visible text={one.column} /> : <span className="quiet">anywhere</span>}{' '}
                <span className="quiet">{one.policies.length > 0 ? one.policies.join(', ') : 'none permits it'}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

function Why({ answer, policies }: { answer: Answer; policies: Cell['policies'] }) {
  const named = (ids: string[]) => policies.filter((one) => ids.includes(one.id));
  return (
    <>
      {answer.told && (
        <p>
          The caller is told: <Visible text={answer.told} />
        </p>
      )}
      {answer.asks.length > 0 && (
        <p>
          Asked, or watching: <Visible text={answer.asks.join(', ')} />
        </p>
      )}
      {answer.policies.length === 0 && <p className="quiet">No policy permits it.</p>}
      {named(answer.policies).map((one) => (
        <Text key={one.id} policy={one} as="decides" />
      ))}
      {named(answer.near).map((one) => (
        <Text key={one.id} policy={one} as="would permit it, if its condition held" />
      ))}
    </>
  );
}

function Text({ policy, as }: { policy: Cell['policies'][number]; as: string }) {
  return (
    <>
      <p className="quiet">
        <code>{policy.id}</code> {as}: <Visible text={policy.file} /> line {policy.line}
      </p>
      <pre tabIndex={0} className="cedar">
        <Visible text={policy.text} />
      </pre>
    </>
  );
}
