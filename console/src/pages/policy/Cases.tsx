import type { Schemas } from '../../api/client';
import { Badge, Visible } from '../../ui/parts';

/** What the cases of a revision say. */
export function Cases({ of }: { of: Schemas['ExaminedView'] }) {
  if (of.mistakes.length > 0) return <Mistakes of={of.mistakes} />;
  if (of.cases.length === 0) return <p className="quiet">The revision has no cases (tests/*.toml).</p>;
  const failed = of.cases.filter((one) => !one.ok);
  return (
    <>
      <p role="status">
        {failed.length === 0 ? (
          <>
            <Badge of="pass" tone="good" /> {of.cases.length} {of.cases.length === 1 ? 'case' : 'cases'}, all as expected.
          </>
        ) : (
          <>
            <Badge of="fail" tone="bad" /> {failed.length} of {of.cases.length} cases are not as they say.
          </>
        )}
      </p>
      <ul className="plain">
        {failed.map((one) => (
          <li key={`${one.file}:${one.line}`}>
            <code>
              <Visible text={`${one.file}:${one.line}`} />
            </code>{' '}
            <Visible text={one.name} />
            <ul>
              {one.differences.map((difference, at) => (
                <li key={at}>
                  <Visible text={difference.what === 'why' ? `why: ${difference.found}` : `${difference.what}: ${difference.found}, and not ${difference.expected}`} />
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Mistakes, each with its place; which leads there, where that can be. */
export function Mistakes({ of, open }: { of: Schemas['MistakeView'][]; open?: (mistake: Schemas['MistakeView']) => void }) {
  return (
    <ul className="plain mistakes" aria-label="Mistakes">
      {of.map((mistake, at) => {
        const place = [mistake.file, mistake.line || undefined, mistake.column || undefined].filter(Boolean).join(':');
        return (
          <li key={at}>
            {open && mistake.file ? (
              <button type="button" className="link" onClick={() => open(mistake)}>
                <Visible text={place} />
              </button>
            ) : (
              <code>
                <Visible text={place} />
              </code>
            )}{' '}
            <Visible text={mistake.message} /> {mistake.help && <span className="quiet"><Visible text={mistake.help} /></span>}
          </li>
        );
      })}
    </ul>
  );
}
