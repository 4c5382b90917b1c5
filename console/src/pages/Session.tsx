import { useQuery } from '@tanstack/react-query';
import { Link, useParams, useSearch } from '@tanstack/react-router';
import { Suspense, lazy, useEffect, useMemo, useState } from 'react';
import { type FoundRequest, Problem, type Schemas, type TapeLine, answered, api } from '../api/client';
import { session, useMay } from '../api/queries';
import { shapeOf } from '../lib/replay';
import { follow } from '../lib/tape';
import { bytes } from '../lib/time';
import { At, Badge, Busy, Empty, Fact, Names, Trouble, Visible, useTitle } from '../ui/parts';
import { NotForYou } from '../ui/Shell';
import { Database } from './replay/Database';
import { Waterfall } from './replay/Waterfall';
import { Kill } from './Sessions';

const Terminal = lazy(() => import('./replay/Terminal').then((module) => ({ default: module.Terminal })));

/** So many lines are kept in the page; of longer tapes the rest is a matter for `sluice replay`. */
const MOST = 200_000;
const FULL = 'This page can show no more lines, so you do not observe the session any more.';

type How = 'tape' | 'watch' | 'moderate';

export function Session() {
  const { id } = useParams({ from: '/sessions/$id' });
  const { at } = useSearch({ from: '/sessions/$id' });
  const [maySessions, mayReplay, mayAudit] = [useMay('admin:sessions'), useMay('admin:replay'), useMay('admin:audit')];
  const about = useQuery({ ...session(id), enabled: maySessions });
  const [isKilling, setKilling] = useState(false);
  const live = about.data?.live ?? undefined;
  const [how, setHow] = useState<How>();
  useTitle(`Session ${id}`);
  const requests = useQuery({
    queryKey: ['requests', id],
    enabled: mayAudit && how !== undefined,
    refetchInterval: live ? 3000 : false,
    queryFn: () => answered(api.GET('/v1/audit/search', { params: { query: { session: id, limit: 10_000 } } })),
  });
  const decided = useMemo(() => new Map((requests.data ?? []).map((one) => [one.request, one])), [requests.data]);
  // Whoever follows a link to a moment of a session wants to see it.
  useEffect(() => {
    if (at !== undefined && mayReplay) setHow((before) => before ?? 'tape');
  }, [at, mayReplay]);
  return (
    <>
      <p>
        <Link to="/sessions">← Sessions</Link>
      </p>
      <div className="heading">
        <h1>
          Session <code>{id}</code>
        </h1>
        {live && maySessions && (
          <button type="button" className="bad" onClick={() => setKilling(true)}>
            Kill
          </button>
        )}
      </div>
      {about.error && <Trouble error={about.error} />}
      {about.data && <About of={about.data} />}
      <Kill of={isKilling ? live : undefined} close={() => setKilling(false)} />
      {mayReplay ? (
        <section aria-label="What passed">
          <div className="buttons begin">
            <button type="button" className={how === 'tape' ? 'active' : ''} aria-pressed={how === 'tape'} onClick={() => setHow('tape')}>
              Replay
            </button>
            {live && (
              <>
                <button type="button" className={how === 'watch' ? 'active' : ''} aria-pressed={how === 'watch'} onClick={() => setHow('watch')}>
                  Watch
                </button>
                <button type="button" className={how === 'moderate' ? 'active' : ''} aria-pressed={how === 'moderate'} onClick={() => setHow('moderate')}>
                  Moderate
                </button>
              </>
            )}
            <span className="quiet">That you look is in the record.</span>
          </div>
          {how === 'moderate' && (
            <p className="note">
              While this page shows the session, what policy lets run only before an observer runs. Leave the page, and it stops.
            </p>
          )}
          {how && <Played key={how} id={id} how={how} at={at === undefined ? undefined : Number(at)} decided={decided} />}
        </section>
      ) : (
        <NotForYou verb="admin:replay" />
      )}
    </>
  );
}

function About({ of }: { of: Schemas['SessionView'] }) {
  const one = of.live ?? of.record;
  if (!one) return null;
  const record = of.record;
  return (
    <dl className="facts">
      <Fact label="Who">
        <Names of={one.subject} behalf={one.on_behalf_of} />
      </Fact>
      <Fact label="Where">
        <Visible text={`${one.target}/${one.database}`} />
      </Fact>
      <Fact label="From">
        <code>{one.source}</code>
      </Fact>
      <Fact label="Opened">
        <At millis={one.opened_at} />
      </Fact>
      {record && (
        <>
          <Fact label="Its client says that it is">
            <Visible text={record.application || 'nothing'} />
          </Fact>
          <Fact label="Requests">
            <Link to="/audit" search={{ session: record.session }}>
              {record.requests.toLocaleString()}
            </Link>
          </Fact>
        </>
      )}
      <Fact label="State">
        {of.live ? (
          <Badge of="live" />
        ) : record?.closed ? (
          <>
            ended <At millis={record.closed.at} />: <Visible text={record.closed.reason} />
          </>
        ) : (
          <Badge of="its end is not written" tone="warn" />
        )}
      </Fact>
      {of.live?.awaits_observer?.length ? (
        <Fact label="Waits for an observer of">
          <Badge of={of.live.awaits_observer.join(' or ')} tone="warn" />
        </Fact>
      ) : null}
    </dl>
  );
}

interface Playing {
  lines: TapeLine[];
  isOver: boolean;
  error: unknown;
  left: number;
}

/** The lines of a tape as they come. Whoever `moderates` answers for what they see: once the page can show no more, they do not. */
function useTape(path: string, moderates: boolean): Playing {
  const [state, setState] = useState<Playing>({ lines: [], isOver: false, error: undefined, left: 0 });
  useEffect(() => {
    const stop = new AbortController();
    setState({ lines: [], isOver: false, error: undefined, left: 0 });
    let waiting: TapeLine[] = [];
    let frame = 0;
    let held = 0;
    const show = () => {
      frame = 0;
      const [shown, left] = [waiting.slice(0, MOST - held), Math.max(0, held + waiting.length - MOST)];
      waiting = [];
      held += shown.length;
      setState((before) => ({ ...before, lines: before.lines.concat(shown), left: before.left + left }));
      if (moderates && left > 0) {
        stop.abort();
        setState((before) => ({ ...before, isOver: true, error: new Error(`${FULL} Load the page again to go on.`) }));
      }
    };
    const tell = (lines: TapeLine[]) => {
      waiting = waiting.concat(lines);
      // Not by frames: a page in the background has none.
      frame ||= window.setTimeout(show, 50);
    };
    follow(path, stop.signal, tell).then(
      () => {
        show();
        setState((before) => ({ ...before, isOver: true }));
      },
      (error: unknown) => {
        if (stop.signal.aborted) return;
        show();
        const shown = error instanceof Problem ? error : new Error('The tape broke off: the network, or you may not see it any more.');
        setState((before) => ({ ...before, isOver: true, error: shown }));
      },
    );
    return () => {
      stop.abort();
      window.clearTimeout(frame);
    };
  }, [path, moderates]);
  return state;
}

function Played({ id, how, at, decided }: { id: string; how: How; at: number | undefined; decided: Map<string, FoundRequest> }) {
  const path = how === 'tape' ? `/v1/sessions/${id}/tape` : `/v1/sessions/${id}/watch?moderate=${how === 'moderate'}`;
  const { lines, isOver, error, left } = useTape(path, how === 'moderate');
  const shape = useMemo(() => shapeOf(lines), [lines]);
  const size = useMemo(() => lines.reduce((sum, line) => sum + ('data' in line && typeof line.data === 'string' ? line.data.length : 0), 0), [lines]);
  const end = lines.at(-1);
  return (
    <>
      {!isOver && <Busy of={how === 'tape' ? 'Reading the tape' : 'Following, as it happens'} />}
      {error !== undefined && <Trouble error={error} />}
      {left > 0 && (
        <p className="warning" role="note">
          The tape is long: {left.toLocaleString()} more lines are not shown here. <code>sluice replay {id}</code> shows all of them.
        </p>
      )}
      {lines.length === 0 && isOver && error === undefined && <Empty title="The tape is empty" />}
      {lines.length > 0 && (
        <Suspense fallback={<Busy of="Loading" />}>
          {shape === 'http' && <Waterfall lines={lines} decided={decided} />}
          {shape === 'terminal' && <Terminal lines={lines} at={at} isLive={!isOver && how !== 'tape'} />}
          <Database id={id} lines={lines} at={at} decided={decided} isLive={!isOver && how !== 'tape'} isBeside={shape !== 'database'} />
        </Suspense>
      )}
      {isOver && end?.kind === 'end' && (
        <p className="quiet" role="status">
          {end.complete ? 'The end of the tape.' : 'The tape goes no further: the session still runs, or its process ended.'}{' '}
          {size > 0 && `${bytes(size)} of text.`}
        </p>
      )}
    </>
  );
}
