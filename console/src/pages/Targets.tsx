import { useMutation, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { answered, api, type Schemas } from '../api/client';
import { health, live, revision, targets, useMay } from '../api/queries';
import { At, Badge, Busy, Empty, Fact, Trouble, Visible, useTitle } from '../ui/parts';
import { NotForYou } from '../ui/Shell';
import { Scan } from './Scan';

/** Where callers go, and how Sluice itself is. */
export function Targets() {
  useTitle('Targets and health');
  const [mayRead, maySessions, mayOperate] = [useMay('admin:read'), useMay('admin:sessions'), useMay('admin:operate')];
  const now = useQuery({ ...revision, enabled: mayRead });
  const state = useQuery({ ...health, enabled: mayRead });
  const connected = useQuery({ ...live, enabled: maySessions });
  const reached = useQuery({ ...targets, enabled: mayOperate });
  if (!mayRead) {
    return (
      <>
        <h1>Targets and health</h1>
        <NotForYou verb="admin:read" />
      </>
    );
  }
  const count = (target: string) => connected.data?.filter((one) => one.target === target).length;
  return (
    <>
      <h1>Targets and health</h1>
      <h2>Targets</h2>
      {now.isPending && <Busy of="Looking" />}
      {now.error && <Trouble error={now.error} again={() => void now.refetch()} />}
      {now.data?.targets.length === 0 && (
        <Empty title="There is no target yet">
          <p>
            Write one into <code>targets.toml</code> of the revision: <code>sluice target --help</code> says how. It is here as soon as
            Sluice has read it.
          </p>
        </Empty>
      )}
      <div className="cards">
        {now.data?.targets.map((target) => (
          <section key={target.name} className="card" aria-label={target.name}>
            <h3>
              <Visible text={target.name} /> <Badge of={target.protocol} />
            </h3>
            <p>
              {Object.entries(target.labels).map(([name, value]) => (
                <Badge key={name} of={`${name}: ${value}`} tone="dim" />
              ))}
            </p>
            {maySessions && (
              <p>
                <Link to="/sessions" search={{ target: target.name }}>
                  {count(target.name) ?? 0} live
                </Link>
              </p>
            )}
            <Contact of={reached.data?.find((one) => one.name === target.name)} />
            {mayOperate && target.protocol === 'postgres' && <Doctor target={target.name} />}
            {mayOperate && target.protocol === 'postgres' && <Scan target={target.name} />}
          </section>
        ))}
      </div>
      <h2>Sluice</h2>
      {state.error && <Trouble error={state.error} again={() => void state.refetch()} />}
      {state.data && (
        <>
          <dl className="facts">
            <Fact label="State">
              {state.data.journal_fault ? (
                <Badge of={`the journal cannot be written: ${state.data.journal_fault}`} tone="bad" />
              ) : (
                <Badge of={state.data.is_draining ? 'draining' : 'ready'} tone={state.data.is_draining ? 'warn' : 'good'} />
              )}
            </Fact>
            <Fact label="Version">{state.data.version}</Fact>
            <Fact label="Live sessions">{state.data.sessions.toLocaleString()}</Fact>
            <Fact label="Entries of the journal">{state.data.entries.toLocaleString()}</Fact>
            <Fact label="Of them can be searched">
              {state.data.indexed.toLocaleString()}
              {state.data.indexed < state.data.entries && <Progress done={state.data.indexed} all={state.data.entries} />}
            </Fact>
            <Fact label="Signed">
              {state.data.checkpoint ? (
                <>
                  {state.data.checkpoint.size.toLocaleString()}, root <code className="hash">{state.data.checkpoint.root}</code>
                </>
              ) : (
                'nothing yet'
              )}
            </Fact>
            <Fact label="Public key of the journal">
              <code className="hash">{state.data.journal_key}</code>
            </Fact>
          </dl>
          <h3>Sinks</h3>
          {state.data.sinks.length === 0 && <p className="quiet">No event is sent anywhere: [[sink]] of sluice.toml.</p>}
          <ul className="plain">
            {state.data.sinks.map((sink) => (
              <li key={sink.name}>
                <Visible text={sink.name} /> <Badge of={sink.is_running ? 'goes on' : 'has stopped'} tone={sink.is_running ? 'good' : 'bad'} />{' '}
                {sink.lag > 0 ? `${sink.lag.toLocaleString()} entries behind` : 'up to date'}
              </li>
            ))}
          </ul>
          <h3>Notifications</h3>
          {state.data.channels.length === 0 && <p className="quiet">Nobody is told of approvals: [[notify]] of sluice.toml.</p>}
          <ul className="plain">
            {state.data.channels.map((channel) => (
              <li key={channel.name}>
                <Visible text={channel.name} /> ({channel.kind}){' '}
                <Badge of={channel.is_running ? 'goes on' : 'has stopped'} tone={channel.is_running ? 'good' : 'bad'} />{' '}
                {channel.waiting > 0 ? `${channel.waiting.toLocaleString()} to tell` : 'nothing to tell'}
                {channel.failures > 0 && `, ${channel.failures.toLocaleString()} attempts failed`}
                {channel.answers_refused > 0 && `, ${channel.answers_refused.toLocaleString()} answers refused`}
              </li>
            ))}
          </ul>
          <h3>Witnesses</h3>
          {state.data.witnesses.length === 0 && <p className="quiet">Nobody else signs: [[witness]] of sluice.toml.</p>}
          <ul className="plain">
            {state.data.witnesses.map((witness) => (
              <li key={witness.name}>
                <Visible text={witness.name} />{' '}
                <Badge of={witness.contradicts ? 'contradicts' : 'agrees'} tone={witness.contradicts ? 'bad' : 'good'} /> on{' '}
                {witness.size.toLocaleString()} entries
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

/** Where a target is, and how connecting to it went. */
function Contact({ of }: { of: Schemas['ReachedTargetView'] | undefined }) {
  if (!of) return null;
  const { reached, failed, connections, failures } = of.contact;
  const isFailing = failed && failed.at > (reached?.at ?? 0);
  return (
    <dl className="facts">
      <Fact label="At">
        <Visible text={`${of.host}:${of.port}`} />
      </Fact>
      <Fact label="Credential">
        <Visible text={of.credential} />
      </Fact>
      <Fact label="Reached">
        {reached ? (
          <>
            <At millis={reached.at} /> in {reached.millis.toLocaleString()} ms <Badge of={isFailing ? 'fails now' : 'works'} tone={isFailing ? 'bad' : 'good'} />
          </>
        ) : (
          'not since Sluice started'
        )}
      </Fact>
      {failed && (
        <Fact label="Failed">
          <At millis={failed.at} />: <Visible text={failed.reason} />
        </Fact>
      )}
      <Fact label="Connections">
        {connections.toLocaleString()}, {failures.toLocaleString()} failed
      </Fact>
    </dl>
  );
}

function Progress({ done, all }: { done: number; all: number }) {
  return <progress value={done} max={all} aria-label="How much can be searched" />;
}

/** Looks for ways past Sluice. That is recorded, and changes nothing at the target. */
function Doctor({ target }: { target: string }) {
  const look = useMutation({
    mutationFn: () => answered(api.POST('/v1/targets/{target}/doctor', { params: { path: { target }, query: {} } })),
  });
  return (
    <>
      <button type="button" className="small" onClick={() => look.mutate()} disabled={look.isPending}>
        {look.isPending ? 'Looking…' : 'Look for ways past Sluice'}
      </button>
      {look.error && <Trouble error={look.error} />}
      {look.data && (
        <div role="status">
          {look.data.findings.length === 0 && <p>None was found.</p>}
          <ul className="plain">
            {look.data.findings.map((finding, at) => (
              <li key={at}>
                <Badge of={finding.severity} tone={{ serious: 'bad', warning: 'warn' }[finding.severity] ?? 'dim'} /> <Visible text={finding.what} />
                <span className="quiet"> {finding.advice}</span>
              </li>
            ))}
          </ul>
          {look.data.unchecked.length > 0 && <p className="quiet">Not looked at: {look.data.unchecked.join(', ')}</p>}
        </div>
      )}
    </>
  );
}
