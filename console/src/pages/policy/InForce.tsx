import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { policies, revision } from '../../api/queries';
import { Busy, Empty, Fact, Trouble, Visible } from '../../ui/parts';

/** The revision in force: what it is, and what it says. */
export function InForce() {
  const now = useQuery(revision);
  const texts = useQuery({ ...policies, queryKey: ['policies', String(now.data?.revision ?? '')], enabled: now.data !== undefined });
  const [needle, setNeedle] = useState('');
  const files = useMemo(
    () => (texts.data?.files ?? []).filter((file) => !needle || `${file.name}\n${file.text}`.toLowerCase().includes(needle.toLowerCase())),
    [texts.data, needle],
  );
  return (
    <>
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
          <p>Policies are files of the revision. They are changed where they are, or proposed here.</p>
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
    </>
  );
}
