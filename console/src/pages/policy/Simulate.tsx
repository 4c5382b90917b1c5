import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { answered, api } from '../../api/client';
import { useMay } from '../../api/queries';
import { Name, Trouble, Visible } from '../../ui/parts';
import { percent } from './draft';

const PAGE = 50;
const SPANS = [
  [1, 'the last hour'],
  [24, 'the last 24 hours'],
  [24 * 7, 'the last 7 days'],
  [24 * 30, 'the last 30 days'],
] as const;

/** What would have become of the requests of the journal: with progress, and to be cancelled. */
export function Simulate({ files, proposal }: { files?: Record<string, string | null>; proposal?: string }) {
  const mayAudit = useMay('admin:audit');
  const [hours, setHours] = useState(24);
  const [id, setId] = useState<string>();
  const [offset, setOffset] = useState(0);
  const begin = useMutation({
    mutationFn: () => {
      const since = new Date(Date.now() - hours * 3_600_000).toISOString();
      const body = proposal ? { proposal, since } : { files: files ?? {}, since };
      return answered(api.POST('/v1/policy/simulations', { body }));
    },
    onSuccess: (begun) => {
      setOffset(0);
      setId(begun.id);
    },
  });
  const run = useQuery({
    queryKey: ['simulations', id, offset],
    queryFn: () => answered(api.GET('/v1/policy/simulations/{id}', { params: { path: { id: id ?? '' }, query: { offset, limit: PAGE } } })),
    enabled: id !== undefined,
    placeholderData: (last) => last,
    refetchInterval: (query) => (query.state.data?.status === 'running' ? 300 : false),
  });
  const cancel = useMutation({
    mutationFn: () => answered(api.POST('/v1/policy/simulations/{id}/cancel', { params: { path: { id: id ?? '' } } })),
    onSettled: () => void run.refetch(),
  });
  if (!mayAudit) return <p className="quiet">To simulate on the requests of the record takes <code>admin:audit</code>.</p>;
  const found = run.data;
  const isRunning = begin.isPending || (id !== undefined && (!found || found.status === 'running'));
  return (
    <section aria-label="Simulation">
      <div className="filters">
        <label className="field">
          <span>Requests of</span>
          <select value={hours} onChange={(event) => setHours(Number(event.target.value))} disabled={isRunning}>
            {SPANS.map(([count, name]) => (
              <option key={count} value={count}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <div className="buttons begin">
          <button type="button" onClick={() => begin.mutate()} disabled={isRunning}>
            Simulate
          </button>
          {isRunning && id && (
            <button type="button" className="bad" onClick={() => cancel.mutate()} disabled={cancel.isPending}>
              Cancel
            </button>
          )}
        </div>
      </div>
      {begin.error && <Trouble error={begin.error} />}
      {run.error && <Trouble error={run.error} />}
      {isRunning && found && (
        <p>
          <label>
            <progress max={100} value={percent(found.read, found.entries)} /> {found.read} of {found.entries} entries of the journal
          </label>
        </p>
      )}
      {found?.status === 'cancelled' && <p role="status">It was cancelled.</p>}
      {found?.status === 'failed' && <Trouble error={new Error(found.failure ?? 'it failed')} />}
      {found?.counts && (
        <>
          <p role="status">
            {found.counts.requests} requests and {found.counts.sessions} new sessions; <strong>{found.counts.changed_requests}</strong> requests and{' '}
            <strong>{found.counts.changed_sessions}</strong> sessions would go otherwise.
            {found.counts.unexplained > 0 && ` ${found.counts.unexplained} requests were not looked at: the journal does not explain them.`}
            {found.counts.unlisted > 0 && ` ${found.counts.unlisted} are not listed: there are too many different ones.`}
          </p>
          {found.changes.length > 0 && (
            <div className="scroll" tabIndex={0} role="region" aria-label="Decisions that would change">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Count</th>
                    <th scope="col">Subject</th>
                    <th scope="col">Target</th>
                    <th scope="col">Change</th>
                    <th scope="col">Statement</th>
                    <th scope="col">Such as</th>
                  </tr>
                </thead>
                <tbody>
                  {found.changes.map((change, at) => (
                    <tr key={at}>
                      <td>{change.count}</td>
                      <td>
                        <Name of={change.subject} />
                      </td>
                      <td>
                        <Visible text={change.target} />
                      </td>
                      <td>
                        <Visible text={change.change} />
                      </td>
                      <td>
                        <code>
                          <Visible text={change.statement} />
                        </code>
                      </td>
                      <td>
                        <code>{change.such_as}</code>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
          {found.different > PAGE && (
            <div className="buttons begin">
              <button type="button" disabled={offset === 0} onClick={() => setOffset(Math.max(0, offset - PAGE))}>
                Back
              </button>
              <span className="quiet">
                {offset + 1} to {Math.min(offset + PAGE, found.different)} of {found.different}
              </span>
              <button type="button" disabled={offset + PAGE >= found.different} onClick={() => setOffset(offset + PAGE)}>
                On
              </button>
            </div>
          )}
        </>
      )}
    </section>
  );
}
