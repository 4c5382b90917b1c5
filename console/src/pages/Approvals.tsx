import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { type Approval, answered, api } from '../api/client';
import { allApprovals, approval, pending, useMay, whoami } from '../api/queries';
import { Ask, Reason } from '../ui/Ask';
import { At, Badge, Busy, Empty, Fact, Left, Names, Statement, Trouble, Visible, EXACT, useTitle } from '../ui/parts';

type Asking = { of: Approval; approve: boolean };

/** What waits for somebody's answer, as it comes. */
export function Approvals() {
  const may = useMay('admin:approve');
  const search = useSearch({ from: '/approvals' });
  const navigate = useNavigate();
  const all = search.show === 'all';
  const waiting = useQuery({ ...pending, enabled: may });
  const every = useQuery({ ...allApprovals, enabled: may && all });
  const found = all ? every : waiting;
  const [asking, setAsking] = useState<Asking>();
  const count = waiting.data?.length ?? 0;
  useTitle(count > 0 ? `(${count}) Approvals` : 'Approvals');
  const window = (
    <button type="button" onClick={() => void navigate({ to: '/approvals', search: { ...search, ask: 'window' } })}>
      Ask for a window
    </button>
  );
  return (
    <>
      <div className="heading">
        <h1>Approvals</h1>
        {window}
      </div>
      <AskForWindow isOpen={search.ask === 'window'} />
      {!may && (
        <Empty title="Nothing here is yours to answer">
          <p>
            It takes <code>admin:approve</code>, which no policy gives you. What you ask for yourself is at the address that you were
            told, and you can ask for a window here.
          </p>
        </Empty>
      )}
      {may && (
        <>
          <div className="switch" role="group" aria-label="Which">
            <Link to="/approvals" search={{}} activeOptions={EXACT} className={all ? '' : 'active'} aria-current={all ? undefined : 'true'}>
              Waiting
            </Link>
            <Link to="/approvals" search={{ show: 'all' }} activeOptions={EXACT} className={all ? 'active' : ''} aria-current={all ? 'true' : undefined}>
              All
            </Link>
          </div>
          <p className="hidden" role="status" aria-live="polite">
            {count} waiting
          </p>
          {found.isPending && <Busy of="Looking" />}
          {found.error && <Trouble error={found.error} again={() => void found.refetch()} />}
          {found.data?.length === 0 && (
            <Empty title={all ? 'Nobody has asked for anything yet' : 'Nothing waits for an answer'}>
              <p>
                A policy asks by forbidding what needs an answer, with <code>@ask("group")</code>. What it asks about shows here
                within two seconds.
              </p>
            </Empty>
          )}
          <Cards found={found.data ?? []} ask={setAsking} />
          <Answering asking={asking} close={() => setAsking(undefined)} />
        </>
      )}
    </>
  );
}

/** One approval, at an address of its own. */
export function OneApproval() {
  const { id } = useParams({ from: '/approvals/$id' });
  const may = useMay('admin:approve');
  const found = useQuery(approval(id));
  const [asking, setAsking] = useState<Asking>();
  useTitle(`Approval ${id}`);
  return (
    <>
      <p>
        <Link to="/approvals">← Approvals</Link>
      </p>
      <h1>Approval</h1>
      {found.isPending && <Busy of="Looking" />}
      {found.error && <Trouble error={found.error} again={() => void found.refetch()} />}
      {found.data && <Card of={found.data} ask={may ? setAsking : undefined} isAlone />}
      <Answering asking={asking} close={() => setAsking(undefined)} />
    </>
  );
}

/** The keys: j and k go on and back, a approves, d denies. */
function Cards({ found, ask }: { found: Approval[]; ask: (asking: Asking) => void }) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || target.closest('input, textarea, select, [role="dialog"]')) return;
      const cards = [...(list.current?.querySelectorAll<HTMLElement>('article') ?? [])];
      const at = cards.indexOf(target.closest('article') as HTMLElement);
      if (event.key === 'j' || event.key === 'k') {
        cards[Math.min(cards.length - 1, Math.max(0, at + (event.key === 'j' ? 1 : -1)))]?.focus();
        event.preventDefault();
      } else if (event.key === 'a' || event.key === 'd') {
        const one = found[at];
        if (one?.status !== 'pending') return;
        ask({ of: one, approve: event.key === 'a' });
        event.preventDefault();
      }
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [found, ask]);
  return (
    <div ref={list}>
      {found.length > 0 && (
        <p className="quiet keys">
          <kbd>j</kbd> <kbd>k</kbd> next and last · <kbd>a</kbd> approve · <kbd>d</kbd> deny
        </p>
      )}
      {found.map((one) => (
        <Card key={one.id} of={one} ask={ask} />
      ))}
    </div>
  );
}

function Card({ of, ask, isAlone = false }: { of: Approval; ask: ((asking: Asking) => void) | undefined; isAlone?: boolean }) {
  const { asked } = of;
  const { data: me } = useQuery(whoami);
  const mayAudit = useMay('admin:audit');
  const isOwn = me !== undefined && me.subject.issuer === asked.subject.issuer && me.subject.id === asked.subject.id;
  const isOpen = of.status === 'pending';
  const subject = `${asked.subject.issuer}|${asked.subject.id}`;
  return (
    <article className={`approval ${of.status}`} tabIndex={isAlone ? undefined : 0} aria-labelledby={`title-${of.id}`}>
      <header>
        <h2 id={`title-${of.id}`}>
          <Names of={asked.subject} behalf={asked.on_behalf_of} />
          <span className="quiet"> at </span>
          <Visible text={`${asked.target}/${asked.database}`} />
        </h2>
        <span>
          <Badge of={of.status} /> {isOpen && <Left until={asked.expires_at} />}
        </span>
      </header>
      {asked.reason && (
        <blockquote>
          <Visible text={asked.reason} />
        </blockquote>
      )}
      <Statement text={asked.statement} label="The whole statement" />
      {asked.parameters.length > 0 && (
        <ol className="parameters" aria-label="Parameters">
          {asked.parameters.map((value, at) => (
            <li key={at}>
              <code>
                <Visible text={value} />
              </code>
            </li>
          ))}
        </ol>
      )}
      <dl className="facts">
        <Fact label="What it does">
          <ul className="plain">
            {asked.effects.map((effect, at) => (
              <li key={at}>
                <code>
                  <Visible text={effect} />
                </code>
              </li>
            ))}
          </ul>
        </Fact>
        <Fact label="Rows, as the target estimates">
          {asked.estimated_rows === null || asked.estimated_rows === undefined ? 'no estimate' : asked.estimated_rows.toLocaleString()}
        </Fact>
        <Fact label="How it waits">
          {{ hold: 'the connection waits', ticket: 'it is to be tried again', window: 'a window' }[asked.mode] ?? asked.mode}
        </Fact>
        <Fact label="Asked">
          <At millis={asked.asked_at} />
        </Fact>
        {of.window && (
          <Fact label="The window ends">
            <At millis={of.window.until} />
          </Fact>
        )}
        <Fact label="Request">
          <code>{asked.request}</code>
        </Fact>
      </dl>
      <ul className="needs" aria-label="Who has to agree">
        {of.progress.map((need) => (
          <li key={need.policy}>
            <meter min={0} max={need.quorum} value={need.agreed} aria-label={`${need.agreed} of ${need.quorum} agreed`} />
            <span>
              {need.agreed} of {need.quorum} of <Visible text={need.groups.join(' or ')} />, for the policy{' '}
              <code>
                <Visible text={need.policy} />
              </code>
            </span>
          </li>
        ))}
      </ul>
      {of.answers.length > 0 && (
        <ul className="answers" aria-label="Answers">
          {of.answers.map((answer, at) => (
            <li key={at}>
              <Badge of={answer.approve ? 'approved' : 'denied'} /> <Names of={answer.approver} behalf={[]} />{' '}
              {answer.reason && <Visible text={`“${answer.reason}”`} />} <span className="quiet"><At millis={answer.at} /></span>
            </li>
          ))}
        </ul>
      )}
      {of.ended && (
        <p className="quiet">
          Ended <At millis={of.ended.at} />: <Visible text={of.ended.reason} />
        </p>
      )}
      <footer className="buttons">
        {mayAudit && (
          <Link to="/audit" search={{ subject, since: new Date(asked.asked_at - 3_600_000).toISOString() }}>
            What they did in the hour before
          </Link>
        )}
        {!isAlone && (
          <Link to="/approvals/$id" params={{ id: of.id }}>
            By itself
          </Link>
        )}
        {isOpen && isOwn && <TakeBack of={of} />}
        {isOpen && ask && !isOwn && (
          <>
            <button type="button" className="bad" onClick={() => ask({ of, approve: false })}>
              Deny
            </button>
            <button type="button" className="good" onClick={() => ask({ of, approve: true })}>
              Approve
            </button>
          </>
        )}
        {isOpen && ask && isOwn && <span className="quiet">Nobody answers their own request.</span>}
      </footer>
    </article>
  );
}

function Answering({ asking, close }: { asking: Asking | undefined; close: () => void }) {
  const client = useQueryClient();
  const approve = asking?.approve ?? true;
  return (
    <Ask
      isOpen={asking !== undefined}
      close={close}
      title={approve ? 'Approve this request?' : 'Deny this request?'}
      verb={approve ? 'Approve' : 'Deny'}
      tone={approve ? 'good' : 'bad'}
      act={async (form) => {
        if (!asking) return;
        const reason = String(form.get('reason') ?? '').trim();
        await answered(
          api.POST('/v1/approvals/{id}/answer', {
            params: { path: { id: asking.of.id } },
            body: { approve, reason: reason || null },
          }),
        );
        await client.invalidateQueries({ queryKey: ['approvals'] });
      }}
    >
      {asking && (
        <>
          <p>
            <Names of={asking.of.asked.subject} behalf={asking.of.asked.on_behalf_of} /> at{' '}
            <Visible text={`${asking.of.asked.target}/${asking.of.asked.database}`} />
          </p>
          <Statement text={asking.of.asked.statement} label="The whole statement" />
          <Reason hint={approve ? 'Ticket, or why it is right' : 'What they should do instead'} />
        </>
      )}
    </Ask>
  );
}

function TakeBack({ of }: { of: Approval }) {
  const client = useQueryClient();
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button type="button" onClick={() => setOpen(true)}>
        Take it back
      </button>
      <Ask
        isOpen={isOpen}
        close={() => setOpen(false)}
        title="Take your request back?"
        verb="Take it back"
        tone="bad"
        act={async (form) => {
          const reason = String(form.get('reason') ?? '').trim();
          await answered(
            api.POST('/v1/approvals/{id}/withdraw', { params: { path: { id: of.id } }, body: { reason: reason || null } }),
          );
          await client.invalidateQueries({ queryKey: ['approvals'] });
        }}
      >
        <Reason hint="Not needed any more" />
      </Ask>
    </>
  );
}

function AskForWindow({ isOpen }: { isOpen: boolean }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const close = () => void navigate({ to: '/approvals', search: {} });
  const words = (text: FormDataEntryValue | null) => String(text ?? '').split(/[\s,]+/).filter(Boolean);
  return (
    <Ask
      isOpen={isOpen}
      close={close}
      title="Ask for a window"
      verb="Ask"
      act={async (form) => {
        const uses = Number(form.get('uses'));
        await answered(
          api.POST('/v1/windows', {
            body: {
              verbs: form.getAll('verb').map(String),
              tables: words(form.get('tables')),
              target: String(form.get('target')).trim(),
              database: String(form.get('database')).trim(),
              seconds: Math.round(Number(form.get('minutes')) * 60),
              reason: String(form.get('reason')).trim(),
              unbounded: form.get('unbounded') !== null,
              max_uses: uses > 0 ? uses : null,
            },
          }),
        );
        await client.invalidateQueries({ queryKey: ['approvals'] });
      }}
    >
      <p className="quiet">
        A time in which your own requests of these kinds need no further answer. Policy says who has to agree.
      </p>
      <fieldset>
        <legend>To do</legend>
        {['insert', 'update', 'delete', 'truncate', 'maintain', 'ddl', 'grant', 'opaque'].map((verb) => (
          <label key={verb} className="check">
            <input type="checkbox" name="verb" value={verb} /> {verb}
          </label>
        ))}
      </fieldset>
      <div className="pair">
        <label className="field">
          <span>Target</span>
          <input name="target" required autoComplete="off" />
        </label>
        <label className="field">
          <span>Database</span>
          <input name="database" required autoComplete="off" />
        </label>
      </div>
      <label className="field">
        <span>Tables, as schema.table</span>
        <input name="tables" placeholder="public.orders, public.refunds" autoComplete="off" />
      </label>
      <div className="pair">
        <label className="field">
          <span>Minutes</span>
          <input name="minutes" type="number" min={1} max={1440} defaultValue={30} required />
        </label>
        <label className="field">
          <span>At most so many requests</span>
          <input name="uses" type="number" min={1} placeholder="any number" />
        </label>
      </div>
      <label className="check">
        <input type="checkbox" name="unbounded" /> also UPDATE and DELETE without a condition
      </label>
      <Reason isNeeded hint="The approver reads it" />
    </Ask>
  );
}
