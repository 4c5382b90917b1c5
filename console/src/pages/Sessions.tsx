import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useMemo, useState } from 'react';
import { type Live, type SessionRecord, answered, api } from '../api/client';
import { live, useMay } from '../api/queries';
import { span } from '../lib/time';
import { type Column, Rows } from '../ui/Rows';
import { Ask } from '../ui/Ask';
import { At, EXACT, Badge, Busy, Empty, Names, Trouble, Visible, useNow, useTitle } from '../ui/parts';
import { NotForYou } from '../ui/Shell';

/** Who is connected, and who was. */
export function Sessions() {
  useTitle('Sessions');
  const search = useSearch({ from: '/sessions' });
  const navigate = useNavigate();
  const [mayLive, mayRecord] = [useMay('admin:sessions'), useMay('admin:audit')];
  const shows = search.show === 'record' || !mayLive ? 'record' : 'live';
  const filter = (name: 'subject' | 'target', value: string) => {
    const { [name]: _, ...rest } = search;
    void navigate({ to: '/sessions', search: value ? { ...rest, [name]: value } : rest, replace: true });
  };
  if (!mayLive && !mayRecord) {
    return (
      <>
        <h1>Sessions</h1>
        <NotForYou verb="admin:sessions or admin:audit" />
      </>
    );
  }
  return (
    <>
      <h1>Sessions</h1>
      <div className="filters" role="search">
        <div className="switch" role="group" aria-label="Which">
          {mayLive && (
            <Link to="/sessions" search={{ ...search, show: 'live' }} activeOptions={EXACT} className={shows === 'live' ? 'active' : ''} aria-current={shows === 'live' ? 'true' : undefined}>
              Live
            </Link>
          )}
          {mayRecord && (
            <Link to="/sessions" search={{ ...search, show: 'record' }} activeOptions={EXACT} className={shows === 'record' ? 'active' : ''} aria-current={shows === 'record' ? 'true' : undefined}>
              Record
            </Link>
          )}
        </div>
        <label className="field">
          <span>Subject</span>
          <input type="search" value={search.subject ?? ''} onChange={(event) => filter('subject', event.target.value)} />
        </label>
        <label className="field">
          <span>Target</span>
          <input type="search" value={search.target ?? ''} onChange={(event) => filter('target', event.target.value)} />
        </label>
      </div>
      {shows === 'live' ? <LiveSessions subject={search.subject} target={search.target} /> : <Record subject={search.subject} target={search.target} />}
    </>
  );
}

interface Narrow {
  subject: string | undefined;
  target: string | undefined;
}

function LiveSessions({ subject, target }: Narrow) {
  const found = useQuery(live);
  const [killing, setKilling] = useState<Live>();
  const now = useNow(5000);
  const rows = useMemo(
    () =>
      (found.data ?? []).filter(
        (one) =>
          (!target || one.target.includes(target)) &&
          (!subject || [one.subject, ...one.on_behalf_of].some((who) => `${who.issuer}|${who.id}`.includes(subject))),
      ),
    [found.data, subject, target],
  );
  const columns: Column<Live>[] = [
    { id: 'who', header: 'Who', width: 'minmax(10rem, 2fr)', cell: (one) => <Link to="/sessions/$id" params={{ id: one.session }}><Names of={one.subject} behalf={one.on_behalf_of} /></Link> },
    { id: 'where', header: 'Where', width: 'minmax(8rem, 1.5fr)', cell: (one) => <Visible text={`${one.target}/${one.database}`} /> },
    { id: 'from', header: 'From', width: 'minmax(7rem, 1fr)', cell: (one) => <code>{one.source}</code> },
    { id: 'since', header: 'For', width: '6rem', cell: (one) => span(now - one.opened_at) },
    {
      id: 'state', header: 'State', width: 'minmax(6rem, 1fr)',
      cell: (one) => (one.awaits_observer?.length ? <Badge of={`waits for ${one.awaits_observer.join(' or ')}`} tone="warn" /> : <Badge of="live" />),
    },
    {
      id: 'do', header: 'Do', width: '5rem',
      cell: (one) => (
        <button type="button" className="bad small" onClick={() => setKilling(one)}>
          Kill<span className="hidden"> the session of {one.subject.id}</span>
        </button>
      ),
    },
  ];
  if (found.isPending) return <Busy of="Looking" />;
  if (found.error) return <Trouble error={found.error} again={() => void found.refetch()} />;
  return (
    <>
      {rows.length === 0 ? (
        <Empty title={found.data.length === 0 ? 'Nobody is connected' : 'No session fits'}>
          <p>Sessions show here while they last. Those that have ended are in the record.</p>
        </Empty>
      ) : (
        <Rows label="Live sessions" rows={rows} columns={columns} keyOf={(one) => one.session} />
      )}
      <Kill of={killing} close={() => setKilling(undefined)} />
    </>
  );
}

/** Asks before a session is ended. */
export function Kill({ of, close }: { of: Live | undefined; close: () => void }) {
  const client = useQueryClient();
  return (
    <Ask
      isOpen={of !== undefined}
      close={close}
      title="End this session?"
      verb="Kill"
      tone="bad"
      act={async () => {
        if (!of) return;
        await answered(api.POST('/v1/sessions/{id}/kill', { params: { path: { id: of.session } } }));
        await client.invalidateQueries({ queryKey: ['sessions'] });
      }}
    >
      {of && (
        <p>
          <Names of={of.subject} behalf={of.on_behalf_of} /> at <Visible text={`${of.target}/${of.database}`} />. What runs is cancelled
          and rolled back, and the record names you.
        </p>
      )}
    </Ask>
  );
}

const PAGE = 200;

function Record({ subject, target }: Narrow) {
  const found = useInfiniteQuery({
    queryKey: ['sessions', 'record', subject ?? '', target ?? ''],
    initialPageParam: undefined as number | undefined,
    queryFn: ({ pageParam }) =>
      answered(
        api.GET('/v1/sessions/history', {
          params: {
            query: {
              limit: PAGE,
              ...(subject ? { subject } : {}),
              ...(target ? { target } : {}),
              // The moment of the last one once more: others may have been opened in it.
              ...(pageParam === undefined ? {} : { until: new Date(pageParam + 1).toISOString() }),
            },
          },
        }),
      ),
    getNextPageParam: (last, pages) => {
      const before = pages.at(-2)?.at(-1)?.opened_at;
      const end = last.at(-1)?.opened_at;
      return last.length < PAGE || end === undefined || end === before ? undefined : end;
    },
  });
  const rows = useMemo(() => {
    const all = new Map<string, SessionRecord>();
    for (const one of found.data?.pages.flat() ?? []) all.set(one.session, one);
    return [...all.values()];
  }, [found.data]);
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = found;
  const onEnd = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  const columns: Column<SessionRecord>[] = [
    { id: 'who', header: 'Who', width: 'minmax(10rem, 2fr)', cell: (one) => <Link to="/sessions/$id" params={{ id: one.session }}><Names of={one.subject} behalf={one.on_behalf_of} /></Link> },
    { id: 'where', header: 'Where', width: 'minmax(8rem, 1.5fr)', cell: (one) => <Visible text={`${one.target}/${one.database}`} /> },
    { id: 'opened', header: 'Opened', width: 'minmax(11rem, 1fr)', cell: (one) => <At millis={one.opened_at} /> },
    { id: 'lasted', header: 'Lasted', width: '6rem', cell: (one) => (one.closed ? span(one.closed.at - one.opened_at) : '') },
    { id: 'requests', header: 'Requests', width: '6rem', cell: (one) => one.requests.toLocaleString() },
    {
      id: 'end', header: 'End', width: 'minmax(8rem, 1fr)',
      cell: (one) => (one.closed ? <Visible text={one.closed.reason} /> : <Badge of="live or its end is not written" tone="warn" />),
    },
  ];
  if (found.isPending) return <Busy of="Searching the record" />;
  if (found.error) return <Trouble error={found.error} again={() => void found.refetch()} />;
  if (rows.length === 0) {
    return (
      <Empty title="No session in the record fits">
        <p>A subject is written as <code>alias|id</code>, or as its id alone, and not cut.</p>
      </Empty>
    );
  }
  return (
    <>
      <Rows label="Sessions of the record" rows={rows} columns={columns} keyOf={(one) => one.session} onEnd={onEnd} />
      <p className="quiet" role="status">
        {rows.length.toLocaleString()} shown{hasNextPage ? ', more as you scroll' : ', all there are'}
      </p>
    </>
  );
}
