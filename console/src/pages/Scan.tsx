import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { type Schemas, answered, api } from '../api/client';
import { Badge, Trouble, Visible } from '../ui/parts';

type Report = Schemas['ScanReportView'];

/** Proposes classes for a target's columns. It runs in Sluice; leaving the page ends it. */
export function Scan({ target }: { target: string }) {
  const [id, setId] = useState<string>();
  const begin = useMutation({
    mutationFn: () => answered(api.POST('/v1/targets/{target}/scan', { params: { path: { target }, query: {} } })),
    onSuccess: (scan) => setId(scan.id),
  });
  const scan = useQuery({
    queryKey: ['scan', id],
    queryFn: () => answered(api.GET('/v1/scans/{id}', { params: { path: { id: id ?? '' } } })),
    enabled: id !== undefined,
    refetchInterval: (query) => (query.state.data?.state === 'running' ? 500 : false),
  });
  const cancel = useMutation({
    mutationFn: () => answered(api.POST('/v1/scans/{id}/cancel', { params: { path: { id: id ?? '' } } })),
    onSuccess: () => void scan.refetch(),
  });
  const now = id === undefined ? undefined : scan.data;
  const runs = begin.isPending || now?.state === 'running' || (id !== undefined && scan.isPending);
  return (
    <>
      <button type="button" className="small" onClick={() => begin.mutate()} disabled={runs}>
        {runs ? 'Looking…' : 'Propose classes for its columns'}
      </button>
      {begin.error && <Trouble error={begin.error} />}
      {scan.error && <Trouble error={scan.error} again={() => void scan.refetch()} />}
      {now?.state === 'running' && (
        <p role="status">
          <progress value={now.done} max={Math.max(now.relations, 1)} aria-label="How many tables were looked at" /> {now.done.toLocaleString()} of{' '}
          {now.relations.toLocaleString()} tables{' '}
          <button type="button" className="small" onClick={() => cancel.mutate()} disabled={cancel.isPending}>
            Cancel
          </button>
        </p>
      )}
      {cancel.error && <Trouble error={cancel.error} />}
      {now?.state === 'cancelled' && <p role="status">It was cancelled. What it read is forgotten.</p>}
      {now?.state === 'failed' && <Trouble error={new Error(now.error ?? 'The log of Sluice says why.')} />}
      {now?.report && <Found report={now.report} />}
    </>
  );
}

function Found({ report }: { report: Report }) {
  const [copied, setCopied] = useState(false);
  const copy = () => {
    void navigator.clipboard.writeText(report.fragment).then(() => setCopied(true));
  };
  return (
    <div role="status">
      <p>
        {report.columns.toLocaleString()} columns of {report.relations.toLocaleString()} tables, {report.classified.toLocaleString()} classified
        already. {report.values.toLocaleString()} values were looked at, and none is kept.
      </p>
      {report.cut && <p className="warning">There are more columns than are looked at.</p>}
      {report.proposals.length === 0 && <p>Nothing is proposed.</p>}
      {report.proposals.length > 0 && (
        <>
          <div className="result" tabIndex={0} role="region" aria-label="Proposals">
            <table>
              <thead>
                <tr>
                  <th scope="col">Column</th>
                  <th scope="col">Class</th>
                  <th scope="col">How sure</th>
                  <th scope="col">Because</th>
                </tr>
              </thead>
              <tbody>
                {report.proposals.map((one, at) => (
                  <tr key={at}>
                    <td>
                      <Visible text={one.column} /> <span className="quiet"><Visible text={one.type} /></span>
                    </td>
                    <td>{one.class}</td>
                    <td>
                      <Badge of={one.confidence} tone={{ high: 'good', medium: 'warn' }[one.confidence] ?? 'dim'} />
                    </td>
                    <td>{one.because.join('; ')}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <button type="button" className="small" onClick={copy}>
            {copied ? 'Copied' : 'Copy as TOML'}
          </button>
          <details>
            <summary>Lines for classification.toml</summary>
            <pre tabIndex={0}>
              <Visible text={report.fragment} />
            </pre>
          </details>
        </>
      )}
      {report.contradictions.length > 0 && (
        <ul className="plain">
          {report.contradictions.map((one, at) => (
            <li key={at}>
              <Badge of="contradiction" tone="bad" /> <Visible text={one.column} />: {one.what}
            </li>
          ))}
        </ul>
      )}
      {report.unsampled.length > 0 && (
        <details>
          <summary>{report.unsampled.length.toLocaleString()} were judged by names and types alone</summary>
          <ul className="plain">
            {report.unsampled.map((one, at) => (
              <li key={at}>
                <Visible text={one.relation} />: {one.why}
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}
