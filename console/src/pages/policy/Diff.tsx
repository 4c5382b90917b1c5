import type { Schemas } from '../../api/client';
import { Badge, Visible } from '../../ui/parts';
import { lines } from './draft';

const TONES: Record<string, string> = { added: 'good', removed: 'bad', changed: 'warn' };
const WORDS = { added: 'added: ', removed: 'removed: ', head: '', place: '', same: '' };

/** What differs, file by file. */
export function Diffs({ files }: { files: Schemas['FileDiff'][] }) {
  if (files.length === 0) return <p className="quiet">Nothing differs.</p>;
  return (
    <>
      {files.map((file) => (
        <details key={file.path} className="file" open={files.length < 6}>
          <summary>
            <code>
              <Visible text={file.path} />
            </code>{' '}
            <Badge of={file.what} tone={TONES[file.what] ?? ''} />{' '}
            {file.diff && (
              <span className="quiet">
                {file.added} in, {file.removed} out
              </span>
            )}
          </summary>
          {file.diff ? (
            <pre className="cedar" tabIndex={0} role="group" aria-label={`What changes in ${file.path}`}>
              {lines(file.diff).map(({ kind, text }, at) => (
                <span key={at} className={`diff-${kind}`}>
                  {WORDS[kind] && <span className="hidden">{WORDS[kind]}</span>}
                  <Visible text={text} />
                  {'\n'}
                </span>
              ))}
            </pre>
          ) : (
            <p className="quiet">Its text is not shown here: it may say where targets are.</p>
          )}
        </details>
      ))}
    </>
  );
}
