import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { answered, api } from '../api/client';
import { policies, revision, useMay } from '../api/queries';
import { kindOf } from './Audit';
import { At, Badge, Busy, Empty, Fact, Trouble, Visible, useTitle } from '../ui/parts';
import { NotForYou } from '../ui/Shell';

/** The revision in force: what it is, what it says, and what came before. */
export function Policy() {
  useTitle('Policy');
  const [mayRead, mayAudit] = [useMay('admin:read'), useMay('admin:audit')];
  const now = useQuery({ ...revision, enabled: mayRead });
  const texts = useQuery({ ...policies, queryKey: ['policies', String(now.data?.revision ?? '')], enabled: mayRead && now.data !== undefined });
  const [needle, setNeedle] = useState('');
  const files = useMemo(
    () => (texts.data?.files ?? []).filter((file) => !needle || `${file.name}\n${file.text}`.toLowerCase().includes(needle.toLowerCase())),
    [texts.data, needle],
  );
  if (!mayRead) {
    return (
      <>
        <h1>Policy</h1>
        <NotForYou verb="admin:read" />
      </>
    );
  }
  return (
    <>
      <h1>Policy</h1>
      {now.isPending && <Busy of="Looking" />}
      {now.error && <Trouble error={now.error} again={() => void now.refetch()} />}
      {now.data && (
        <dl className="facts">
          <Fact label="Revision in force">{now.data.revision}</Fact>
          <Fact label="Digest of its files">
            <code className="hash">{now.data.digest}</code>
          </Fact>
          <Fact label="Classes">{now.data.classes.length > 0 ? <Visible text={now.data.classes.join(', ')} /> : 'none'}</Fact>
        </dl>
      )}
      {now.data?.refused && (
        <section className="trouble" role="alert">
          <h2>What is in the directory now was refused</h2>
          <p>The revision above stays in force until these are mended:</p>
          <ul>
            {now.data.refused.errors.map((error, at) => (
              <li key={at}>
                <Visible text={error} />
              </li>
            ))}
          </ul>
        </section>
      )}
      <h2>What it says</h2>
      <div className="filters" role="search">
        <label className="field">
          <span>Search in the policies</span>
          <input type="search" value={needle} onChange={(event) => setNeedle(event.target.value)} />
        </label>
      </div>
      {texts.error && <Trouble error={texts.error} />}
      {texts.data && files.length === 0 && (
        <Empty title="No file has that in it">
          <p>Policies are files of the revision, which are changed where they are: Sluice takes up what it finds right.</p>
        </Empty>
      )}
      {files.map((file) => (
        <details key={file.name} className="file" open={needle !== '' || files.length < 3}>
          <summary>
            <code>
              <Visible text={file.name} />
            </code>
          </summary>
          <pre tabIndex={0} className="cedar">
            {file.text.split('\n').map((line, at) => (
              <span key={at} className={line.trimStart().startsWith('//') ? 'sql-comment' : line.startsWith('@') ? 'sql-keyword' : ''}>
                <Visible text={line} />
                {'\n'}
              </span>
            ))}
          </pre>
        </details>
      ))}
      {mayAudit && <History />}
    </>
  );
}

function History() {
  const found = useQuery({
    queryKey: ['audit', 'revisions'],
    queryFn: () => answered(api.GET('/v1/audit/events', { params: { query: { limit: 10_000 } } })),
  });
  const revisions = (found.data ?? []).filter((event) => kindOf(event).startsWith('revision_'));
  return (
    <>
      <h2>What came before</h2>
      {found.isPending && <Busy of="Searching the record" />}
      {found.error && <Trouble error={found.error} />}
      {found.data && revisions.length === 0 && <p className="quiet">The record has no other revision.</p>}
      <ul className="plain">
        {revisions.map((event) => {
          const said = Object.values(event.event as Record<string, { revision?: number; digest?: string; errors?: string[] }>)[0];
          const isApplied = kindOf(event) === 'revision_applied';
          return (
            <li key={event.position}>
              <Badge of={isApplied ? `revision ${said?.revision ?? '?'}` : 'refused'} tone={isApplied ? 'good' : 'bad'} /> <At millis={event.at} />{' '}
              <code className="hash">{said?.digest?.slice(0, 16)}</code>
              {said?.errors?.map((error, at) => (
                <p key={at} className="quiet">
                  <Visible text={error} />
                </p>
              ))}
            </li>
          );
        })}
      </ul>
    </>
  );
}
