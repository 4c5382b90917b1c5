import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { answered, api } from '../../api/client';
import { revisions } from '../../api/queries';
import { At, Badge, Busy, Name, Trouble } from '../../ui/parts';
import { Diffs } from './Diff';

/** The revisions that were in force, and what changed from one to another. */
export function History({ revision, against }: { revision: string | undefined; against: string | undefined }) {
  const found = useQuery(revisions);
  const navigate = useNavigate();
  const shown = found.data?.filter((kept) => kept.has_files) ?? [];
  const number = Number(revision ?? shown[0]?.revision ?? 0);
  const before = Number(against ?? shown.find((kept) => kept.revision < number)?.revision ?? 0);
  const choose = (more: { revision?: string; against?: string }) =>
    void navigate({ to: '/policy', search: { tab: 'history', revision: String(number), against: String(before), ...more }, replace: true });
  const diff = useQuery({
    queryKey: ['revisions', number, before],
    queryFn: () => answered(api.GET('/v1/revisions/{number}/diff', { params: { path: { number }, query: { against: before } } })),
    enabled: number > 0,
  });
  if (found.error) return <Trouble error={found.error} again={() => void found.refetch()} />;
  if (!found.data) return <Busy of="Looking" />;
  return (
    <>
      <div className="filters" role="search">
        <label className="field">
          <span>Revision</span>
          <select value={number} onChange={(event) => choose({ revision: event.target.value })}>
            {shown.map((kept) => (
              <option key={kept.revision}>{kept.revision}</option>
            ))}
          </select>
        </label>
        <label className="field">
          <span>Compared with</span>
          <select value={before} onChange={(event) => choose({ against: event.target.value })}>
            <option value={0}>nothing</option>
            {shown.map((kept) => (
              <option key={kept.revision}>{kept.revision}</option>
            ))}
          </select>
        </label>
      </div>
      {diff.error && <Trouble error={diff.error} />}
      {diff.isFetching && <Busy of="Comparing" />}
      {diff.data && <Diffs files={diff.data.files} />}
      <h2>What was in force</h2>
      <ul className="plain">
        {found.data.map((kept, at) => (
          <li key={kept.revision}>
            <Badge of={`revision ${kept.revision}`} tone={at === 0 ? 'good' : 'dim'} /> <At millis={kept.at} /> <code className="hash">{kept.digest.slice(0, 16)}</code>{' '}
            {kept.proposal ? (
              <>
                by <Name of={kept.by} />, from{' '}
                <Link to="/policy" search={{ tab: 'proposals', proposal: kept.proposal }}>
                  {kept.proposal}
                </Link>
              </>
            ) : (
              <span className="quiet">changed in the directory</span>
            )}
          </li>
        ))}
      </ul>
    </>
  );
}
