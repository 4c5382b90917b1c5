import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { type FormEvent, Suspense, lazy, useCallback, useMemo, useState } from 'react';
import { type FoundEvent, type FoundRequest, Problem, answered, api } from '../api/client';
import { revision, useMay } from '../api/queries';
import { download, toCsv } from '../lib/csv';
import { toLocal, toUtc } from '../lib/time';
import { FILTERS } from '../router';
import { Proof } from '../ui/Proof';
import { type Column, Rows } from '../ui/Rows';
import { At, EXACT, Badge, Busy, Empty, Fact, Name, Names, Statement, Trouble, Visible, useTitle } from '../ui/parts';
import { NotForYou } from '../ui/Shell';

const Decisions = lazy(() => import('./audit/Decisions').then((module) => ({ default: module.Decisions })));

type Filter = (typeof FILTERS)[number];
type Filters = Partial<Record<Filter, string>>;
const PAGE = 200;
const MOST = 10_000;

const VERBS = ['select', 'insert', 'update', 'delete', 'truncate', 'ddl', 'grant', 'execute', 'opaque', 'exec', 'shell', 'sftp', 'forward'];

/** What narrows a search, as the API takes it. */
function query(filters: Filters, limit: number, until?: number) {
  const { now, ...rest } = filters;
  return {
    ...rest,
    ...(now === 'true' ? { now: true } : {}),
    limit,
    // The moment of the last one once more: others may have been decided in it.
    ...(until === undefined ? {} : { until: new Date(until + 1).toISOString() }),
  };
}

export function Audit() {
  useTitle('Audit');
  const may = useMay('admin:audit');
  const { show = 'requests', ...filters } = useSearch({ from: '/audit' });
  if (!may) {
    return (
      <>
        <h1>Audit</h1>
        <NotForYou verb="admin:audit" />
      </>
    );
  }
  const place = (name: string, words: string) => (
    <Link to="/audit" search={{ ...filters, ...(name === 'requests' ? {} : { show: name }) }} activeOptions={EXACT} className={show === name ? 'active' : ''} aria-current={show === name ? 'true' : undefined}>
      {words}
    </Link>
  );
  return (
    <>
      <div className="heading">
        <h1>Audit</h1>
        <div className="switch" role="group" aria-label="Which">
          {place('requests', 'Requests')}
          {place('events', 'Other events')}
          {place('report', 'Who saw')}
        </div>
      </div>
      <Narrow filters={filters} show={show} key={JSON.stringify(filters)} />
      {show === 'requests' && <Requests filters={filters} />}
      {show === 'events' && <Events filters={filters} />}
      {show === 'report' && <Report filters={filters} />}
    </>
  );
}

/** The filters, and searches that are kept in this browser. */
function Narrow({ filters, show }: { filters: Filters; show: string }) {
  const navigate = useNavigate();
  const { data: known } = useQuery({ ...revision, enabled: useMay('admin:read') });
  const [kept, setKept] = useState<Record<string, Filters>>(() => JSON.parse(localStorage.getItem('sluice.searches') ?? '{}') as Record<string, Filters>);
  const keep = (searches: Record<string, Filters>) => {
    localStorage.setItem('sluice.searches', JSON.stringify(searches));
    setKept(searches);
  };
  const go = (wanted: Filters) => void navigate({ to: '/audit', search: { ...wanted, ...(show === 'requests' ? {} : { show }) } });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const wanted: Filters = {};
    for (const name of FILTERS) {
      const text = String(form.get(name) ?? '').trim();
      const value = name === 'since' || name === 'until' ? toUtc(text) : name === 'now' ? (form.get('now') ? 'true' : '') : text;
      if (value) wanted[name] = value;
    }
    go(wanted);
  };
  const input = (name: Filter, label: string, hint: string) => (
    <label className="field">
      <span>{label}</span>
      <input name={name} defaultValue={filters[name] ?? ''} placeholder={hint} autoComplete="off" spellCheck={false} />
    </label>
  );
  const when = (name: 'since' | 'until', label: string) => (
    <label className="field">
      <span>{label}</span>
      <input name={name} type="datetime-local" step={1} defaultValue={filters[name] ? toLocal(Date.parse(filters[name])) : ''} />
    </label>
  );
  const rare: Filter[] = ['on_behalf_of', 'column', 'verb', 'policy', 'session', 'request', 'approval'];
  return (
    <form className="narrow" onSubmit={submit} role="search" aria-label="Narrow the search">
      <div className="filters">
        {when('since', 'Since')}
        {when('until', 'Until')}
        {input('subject', 'Subject', 'order-service')}
        {input('target', 'Target', 'payments')}
        {input('table', 'Table', 'public.cards')}
        {input('text', 'In the statement', 'refund')}
        <label className="field">
          <span>Decision</span>
          <select name="outcome" defaultValue={filters.outcome ?? ''}>
            <option value="">any</option>
            <option value="allow">allowed</option>
            <option value="deny">denied</option>
            <option value="ask">a human was asked</option>
          </select>
        </label>
        <label className="field">
          <span>Delivered the class</span>
          <input name="class" list="audit-classes" defaultValue={filters.class ?? ''} placeholder="card_number" autoComplete="off" />
        </label>
        <datalist id="audit-classes">
          {known?.classes.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        <label className="check">
          <input name="now" type="checkbox" defaultChecked={filters.now === 'true'} /> as classified today
        </label>
      </div>
      <details open={rare.some((name) => filters[name])}>
        <summary>More</summary>
        <div className="filters">
          {input('on_behalf_of', 'On behalf of', 'corp|dana')}
          {input('column', 'Column', 'public.cards.number')}
          <label className="field">
            <span>Verb</span>
            <input name="verb" list="audit-verbs" defaultValue={filters.verb ?? ''} placeholder="delete" autoComplete="off" />
          </label>
          <datalist id="audit-verbs">
            {VERBS.map((verb) => (
              <option key={verb} value={verb} />
            ))}
          </datalist>
          {input('policy', 'Policy', 'only-cleared')}
          {input('session', 'Session', '')}
          {input('request', 'Request', '')}
          {input('approval', 'Approval', 'apr-…')}
        </div>
      </details>
      <div className="buttons begin">
        <button type="submit" className="good">
          Search
        </button>
        <button type="button" onClick={() => go({})}>
          Clear
        </button>
        <button
          type="button"
          onClick={() => {
            const name = Object.entries(filters).map(([key, value]) => `${key}: ${value}`).join(', ');
            if (name) keep({ ...kept, [name]: filters });
          }}
          disabled={Object.keys(filters).length === 0}
        >
          Keep this search
        </button>
        {Object.entries(kept).map(([name, search]) => (
          <span className="kept" key={name}>
            <button type="button" className="link" onClick={() => go(search)}>
              {name}
            </button>
            <button
              type="button"
              className="link"
              aria-label={`Forget ${name}`}
              onClick={() => {
                const { [name]: _, ...rest } = kept;
                keep(rest);
              }}
            >
              ×
            </button>
          </span>
        ))}
      </div>
    </form>
  );
}

function Requests({ filters }: { filters: Filters }) {
  const [open, setOpen] = useState<string>();
  const found = useInfiniteQuery({
    queryKey: ['audit', 'requests', filters],
    initialPageParam: undefined as number | undefined,
    queryFn: ({ pageParam }) => answered(api.GET('/v1/audit/search', { params: { query: query(filters, PAGE, pageParam) } })),
    getNextPageParam: (last, pages) => {
      const [end, before] = [last.at(-1)?.at, pages.at(-2)?.at(-1)?.at];
      return last.length < PAGE || end === undefined || end === before ? undefined : end;
    },
  });
  const rows = useMemo(() => {
    const all = new Map<string, FoundRequest>();
    for (const one of found.data?.pages.flat() ?? []) all.set(one.request, one);
    return [...all.values()];
  }, [found.data]);
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = found;
  const onEnd = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  const columns: Column<FoundRequest>[] = [
    {
      id: 'what', header: 'What', width: 'minmax(14rem, 3fr)',
      cell: (one) => (
        <button type="button" className="link clip" aria-expanded={open === one.request} onClick={() => setOpen(open === one.request ? undefined : one.request)}>
          <code><Visible text={one.statements.map((statement) => statement.text ?? statement.id).join('; ') || one.request} /></code>
        </button>
      ),
    },
    { id: 'outcome', header: 'Decision', width: '6.5rem', cell: (one) => <Outcome of={one} /> },
    { id: 'who', header: 'Who', width: 'minmax(9rem, 1.5fr)', cell: (one) => <Names of={one.subject} behalf={one.on_behalf_of} /> },
    { id: 'where', header: 'Where', width: 'minmax(7rem, 1fr)', cell: (one) => <Visible text={`${one.target ?? '?'}/${one.database ?? '?'}`} /> },
    { id: 'when', header: 'When', width: '12rem', cell: (one) => <At millis={one.at} /> },
    { id: 'rows', header: 'Rows', width: '5rem', cell: (one) => one.completion?.rows.toLocaleString() ?? '' },
  ];
  if (found.isPending) return <Busy of="Searching the record" />;
  if (found.error) return <Trouble error={found.error} again={() => void found.refetch()} />;
  if (rows.length === 0) return <NothingFound />;
  return (
    <>
      <div className="buttons begin">
        <Export filters={filters} />
      </div>
      <Suspense fallback={<Busy of="Drawing" />}>
        <Decisions of={rows} />
      </Suspense>
      <Rows
        label="Requests"
        rows={rows}
        columns={columns}
        keyOf={(one) => one.request}
        more={(one) => one.request === open && <Details of={one} />}
        onEnd={onEnd}
      />
      <p className="quiet" role="status">
        {rows.length.toLocaleString()} shown{hasNextPage ? ', more as you scroll' : ', all there are'}
      </p>
    </>
  );
}

function NothingFound() {
  return (
    <Empty title="Nothing in the record fits">
      <p>
        Subjects, tables and columns are matched whole: <code>public.cards</code>, or <code>cards</code> in any schema. What was done a
        moment ago is found when the index has caught up: within a second or two.
      </p>
    </Empty>
  );
}

function Outcome({ of }: { of: FoundRequest }) {
  return (
    <>
      <Badge of={of.outcome} />
      {of.outcome === 'allow' && !of.completion && <Badge of="end unknown" tone="warn" />}
    </>
  );
}

function Details({ of }: { of: FoundRequest }) {
  // A request is named `SESSION.NUMBER`.
  const session = of.request.split('.')[0] ?? of.request;
  return (
    <div className="details">
      {of.statements.map((statement) => (
        <div key={statement.id}>
          {statement.text ? <Statement text={statement.text} /> : <p className="quiet">The journal lacks the text of {statement.id}.</p>}
          <ul className="plain">
            {statement.effects.map((effect, at) => (
              <li key={at}>
                <code><Visible text={effect} /></code>
              </li>
            ))}
          </ul>
        </div>
      ))}
      <dl className="facts">
        <Fact label="Request"><code>{of.request}</code></Fact>
        <Fact label="Session">
          <Link to="/sessions/$id" params={{ id: session }} search={{ at: String(of.at) }}>
            see it there
          </Link>
        </Fact>
        <Fact label="Policies">{of.policies.length > 0 ? <Visible text={of.policies.join(', ')} /> : 'none'}</Fact>
        <Fact label="Revision">{of.revision}</Fact>
        {of.denial && <Fact label="Why not"><Visible text={`${of.denial.message} (${of.denial.missing})`} /></Fact>}
        {of.approval && (
          <Fact label="Approval">
            <Link to="/approvals/$id" params={{ id: of.approval }}>{of.approval}</Link>
          </Fact>
        )}
        {of.completion && (
          <>
            <Fact label="Took">{of.completion.millis.toLocaleString()} ms</Fact>
            <Fact label="Delivered">
              {of.completion.rows.toLocaleString()} rows, {of.completion.bytes.toLocaleString()} bytes
              {of.completion.error && <>, <Badge of={of.completion.error} tone="bad" /></>}
            </Fact>
            {Object.entries(of.completion.columns).map(([column, counts]) => (
              <Fact key={column} label={column}>
                {counts.clear.toLocaleString()} in clear, {counts.masked.toLocaleString()} masked
              </Fact>
            ))}
          </>
        )}
        {of.values.length > 0 && <Fact label="Values"><code><Visible text={of.values.map((value) => JSON.stringify(value)).join(' ')} /></code></Fact>}
        {of.traceparent && <Fact label="Trace"><code><Visible text={of.traceparent} /></code></Fact>}
      </dl>
      <Proof entry={of.position} />
    </div>
  );
}

function Export({ filters }: { filters: Filters }) {
  const [state, setState] = useState<{ busy?: boolean; error?: unknown; said?: string }>({});
  const give = async (kind: 'csv' | 'json') => {
    setState({ busy: true });
    try {
      const rows = await answered(api.GET('/v1/audit/search', { params: { query: query(filters, MOST) } }));
      const name = `sluice-requests-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}`;
      if (kind === 'json') download(`${name}.json`, 'application/json', JSON.stringify(rows, null, 2));
      else {
        const columns = ['at', 'request', 'subject', 'on_behalf_of', 'target', 'database', 'outcome', 'policies', 'approval', 'statement', 'rows', 'error', 'classes', 'position'];
        const line = (one: FoundRequest) => [
          new Date(one.at).toISOString(), one.request, one.subject ? `${one.subject.issuer}|${one.subject.id}` : '',
          one.on_behalf_of.map((who) => `${who.issuer}|${who.id}`).join(' '), one.target, one.database, one.outcome,
          one.policies.join(' '), one.approval, one.statements.map((statement) => statement.text).join('; '),
          one.completion?.rows, one.completion?.error, one.completion ? JSON.stringify(one.completion.classes) : '', one.position,
        ];
        download(`${name}.csv`, 'text/csv;charset=utf-8', toCsv(columns, rows.map(line)));
      }
      setState({ said: rows.length >= MOST ? `The newest ${MOST.toLocaleString()}: narrow the search for the rest.` : `${rows.length.toLocaleString()} requests.` });
    } catch (error) {
      setState({ error });
    }
  };
  return (
    <>
      <button type="button" disabled={state.busy} onClick={() => void give('csv')}>Export CSV</button>
      <button type="button" disabled={state.busy} onClick={() => void give('json')}>Export JSON</button>
      {state.busy && <Busy of="Exporting" />}
      {state.said && <span className="quiet" role="status">{state.said}</span>}
      {state.error !== undefined && <Trouble error={state.error} />}
    </>
  );
}

function Events({ filters }: { filters: Filters }) {
  const [open, setOpen] = useState<number>();
  const { since, until, subject, target, session, approval } = filters;
  const narrow = { ...(since ? { since } : {}), ...(until ? { until } : {}), ...(subject ? { subject } : {}), ...(target ? { target } : {}), ...(session ? { session } : {}), ...(approval ? { approval } : {}) };
  const found = useQuery({
    queryKey: ['audit', 'events', narrow],
    queryFn: () => answered(api.GET('/v1/audit/events', { params: { query: { ...narrow, limit: 1000 } } })),
  });
  const columns: Column<FoundEvent>[] = [
    {
      id: 'kind', header: 'What', width: 'minmax(10rem, 1fr)',
      cell: (one) => (
        <button type="button" className="link" aria-expanded={open === one.position} onClick={() => setOpen(open === one.position ? undefined : one.position)}>
          {kindOf(one).replaceAll('_', ' ')}
        </button>
      ),
    },
    { id: 'said', header: 'Says', width: 'minmax(14rem, 3fr)', cell: (one) => <span className="clip"><code><Visible text={saying(one)} /></code></span> },
    { id: 'when', header: 'When', width: '12rem', cell: (one) => <At millis={one.at} /> },
    { id: 'position', header: 'Entry', width: '6rem', cell: (one) => one.position.toLocaleString() },
  ];
  if (found.isPending) return <Busy of="Searching the record" />;
  if (found.error) return <Trouble error={found.error} again={() => void found.refetch()} />;
  if (found.data.length === 0) return <NothingFound />;
  return (
    <>
      <Rows
        label="Other events"
        rows={found.data}
        columns={columns}
        keyOf={(one) => String(one.position)}
        more={(one) =>
          one.position === open && (
            <div className="details">
              <pre tabIndex={0}><Visible text={JSON.stringify(one.event, null, 2)} /></pre>
              <Proof entry={one.position} />
            </div>
          )
        }
      />
      <p className="quiet" role="status">
        {found.data.length >= 1000 ? 'The newest 1,000: narrow the times for others.' : `${found.data.length} shown, all there are`}
      </p>
    </>
  );
}

/** An event is a word, or an object with its kind as the only key. */
export function kindOf(event: FoundEvent): string {
  const inner: unknown = event.event;
  return typeof inner === 'string' ? inner : (Object.keys(inner as object)[0] ?? 'event');
}

function saying(event: FoundEvent): string {
  const inner: unknown = event.event;
  if (typeof inner === 'string') return '';
  const [said] = Object.values(inner as Record<string, unknown>);
  const fields = Object.entries((said ?? {}) as Record<string, unknown>);
  return fields.map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`).join('  ');
}

function Report({ filters }: { filters: Filters }) {
  const wanted = filters.class;
  const found = useQuery({
    queryKey: ['audit', 'report', filters.class, filters.since, filters.now],
    enabled: Boolean(wanted),
    queryFn: () =>
      answered(
        api.GET('/v1/audit/report', {
          params: { query: { class: wanted ?? '', ...(filters.since ? { since: filters.since } : {}), ...(filters.now === 'true' ? { now: true } : {}) } },
        }),
      ),
  });
  if (!wanted) {
    return (
      <Empty title="Of which class?">
        <p>Name it above, such as <code>card_number</code>: this says who was shown values of it, in clear and masked.</p>
      </Empty>
    );
  }
  if (found.isPending) return <Busy of="Adding up" />;
  if (found.error instanceof Problem || found.error) return <Trouble error={found.error} />;
  if (found.data.length === 0) {
    return (
      <Empty title="Nobody was shown any">
        <p>No request in the record delivered a value of <Visible text={wanted} />.</p>
      </Empty>
    );
  }
  return (
    <div className="result" tabIndex={0} role="region" aria-label="Who saw">
      <table>
        <thead>
          <tr>
            <th scope="col">Who</th>
            <th scope="col">In clear</th>
            <th scope="col">Masked</th>
            <th scope="col">Requests</th>
            <th scope="col">Nobody knows of</th>
          </tr>
        </thead>
        <tbody>
          {found.data.map((line) => (
            <tr key={line.subject ? `${line.subject.issuer}|${line.subject.id}` : ''}>
              <td><Name of={line.subject} /></td>
              <td>{line.clear.toLocaleString()}{line.clear_at_most != null && line.clear_at_most > line.clear && ` (${line.clear_at_most.toLocaleString()} at most)`}</td>
              <td>{line.masked.toLocaleString()}</td>
              <td>{line.requests.toLocaleString()}</td>
              <td>{line.unknown.toLocaleString()}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
