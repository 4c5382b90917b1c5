// A session as a timeline: what was asked, what was decided, what came back, and how long it took.
import { Link } from '@tanstack/react-router';
import { useVirtualizer } from '@tanstack/react-virtual';
import { memo, useEffect, useMemo, useRef, useState } from 'react';
import type { FoundRequest, TapeLine } from '../../api/client';
import { type Step, Timeline } from '../../lib/replay';
import { clock, span } from '../../lib/time';
import { Badge, Statement, Visible } from '../../ui/parts';

interface Props {
  id: string;
  lines: TapeLine[];
  at: number | undefined;
  decided: Map<string, FoundRequest>;
  isLive: boolean;
  /** Whether it stands below another view of the same tape. */
  isBeside: boolean;
}

/** Rows of a result that are shown before one asks for more. */
const ROWS = 50;

export function Database({ id, lines, at, decided, isLive, isBeside }: Props) {
  const [needle, setNeedle] = useState('');
  const steps = useMemo(() => {
    const timeline = new Timeline();
    // Beside a terminal its text would be there twice.
    timeline.add(isBeside ? lines.filter((line) => !['output', 'input', 'error_output', 'size', 'asked', 'answered', 'exchanged'].includes(line.kind)) : lines);
    return timeline.steps;
  }, [lines, isBeside]);
  const found = useMemo(() => (needle ? steps.filter((step) => wordsOf(step).includes(needle.toLowerCase())) : steps), [steps, needle]);
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: found.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 90,
    overscan: 6,
  });
  const hasGone = useRef(false);
  useEffect(() => {
    if (at === undefined || hasGone.current || found.length === 0) return;
    const index = found.findIndex((step) => step.at >= at);
    virtual.scrollToIndex(index < 0 ? found.length - 1 : index, { align: 'start' });
    hasGone.current = index >= 0;
  }, [at, found, virtual]);
  useEffect(() => {
    if (isLive && found.length > 0) virtual.scrollToIndex(found.length - 1, { align: 'end' });
  }, [isLive, found.length, virtual]);
  if (steps.length === 0) return null;
  return (
    <>
      <div className="filters" role="search">
        <label className="field">
          <span>Search in what passed</span>
          <input type="search" value={needle} onChange={(event) => setNeedle(event.target.value)} />
        </label>
        <span className="quiet" role="status">
          {found.length.toLocaleString()} of {steps.length.toLocaleString()} steps
        </span>
      </div>
      <div className="timeline" ref={scroller} tabIndex={0} role="region" aria-label="Timeline">
        <ol style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const step = found[item.index];
            return (
              step && (
                <li
                  key={item.key}
                  ref={virtual.measureElement}
                  data-index={item.index}
                  style={{ transform: `translateY(${item.start}px)` }}
                  className={at !== undefined && step.at === at ? 'here' : ''}
                >
                  <Link className="at" to="/sessions/$id" params={{ id }} search={{ at: String(step.at) }} aria-label={`Link to ${clock(step.at)}`}>
                    {clock(step.at)}
                  </Link>
                  <OneStep step={step} decision={step.kind === 'request' ? decided.get(step.line.request) : undefined} />
                </li>
              )
            );
          })}
        </ol>
      </div>
    </>
  );
}

function wordsOf(step: Step): string {
  switch (step.kind) {
    case 'request':
      return `${step.line.statement} ${step.line.values.join(' ')}`.toLowerCase();
    case 'rows':
      return [step.names, ...step.rows].flat().join(' ').toLowerCase();
    case 'text':
      return step.text.toLowerCase();
    case 'other':
      return JSON.stringify(step.line).toLowerCase();
  }
}

const OneStep = memo(function OneStep({ step, decision }: { step: Step; decision: FoundRequest | undefined }) {
  switch (step.kind) {
    case 'request':
      return <Asked step={step} decision={decision} />;
    case 'rows':
      return <Result names={step.names} rows={step.rows} />;
    case 'text':
      return (
        <div className={`stream ${step.from}`}>
          <span className="quiet">{{ input: 'in', output: 'out', error_output: 'error', copy: 'copy' }[step.from]}</span>
          <pre tabIndex={0}>
            <Visible text={step.text} />
          </pre>
        </div>
      );
    case 'other':
      return <Other line={step.line} />;
  }
});

function Asked({ step, decision }: { step: Extract<Step, { kind: 'request' }>; decision: FoundRequest | undefined }) {
  return (
    <div className="asked">
      <p>
        {decision && <Badge of={decision.outcome} />}{' '}
        {decision?.policies.map((policy) => (
          <code key={policy} className="quiet">
            <Visible text={policy} />{' '}
          </code>
        ))}
        {decision?.approval && (
          <Link to="/approvals/$id" params={{ id: decision.approval }}>
            by an approval
          </Link>
        )}{' '}
        {step.took !== undefined && <span className="quiet">{step.took < 1000 ? `${step.took} ms` : span(step.took)}</span>}
      </p>
      <Statement text={step.line.statement} />
      {step.line.values.length > 0 && (
        <p className="quiet">
          with{' '}
          {step.line.values.map((value, at) => (
            <code key={at}>
              <Visible text={value} />{' '}
            </code>
          ))}
        </p>
      )}
      {decision?.denial && (
        <p className="warning">
          <Visible text={decision.denial.message} />
        </p>
      )}
    </div>
  );
}

function Result({ names, rows }: { names: string[]; rows: (string | null)[][] }) {
  const [shown, setShown] = useState(ROWS);
  if (rows.length === 0) return <p className="quiet">No rows.</p>;
  return (
    <div className="result" tabIndex={0} role="region" aria-label="Rows, as the caller saw them">
      <table>
        {names.length > 0 && (
          <thead>
            <tr>
              {names.map((name, at) => (
                <th key={at} scope="col">
                  <Visible text={name} />
                </th>
              ))}
            </tr>
          </thead>
        )}
        <tbody>
          {rows.slice(0, shown).map((row, at) => (
            <tr key={at}>
              {row.map((value, column) => (
                <td key={column}>{value === null ? <span className="quiet">NULL</span> : <Visible text={value} />}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      <p className="quiet">
        {rows.length.toLocaleString()} {rows.length === 1 ? 'row' : 'rows'}{' '}
        {rows.length > shown && (
          <button type="button" className="small" onClick={() => setShown((before) => before + 500)}>
            Show more
          </button>
        )}
      </p>
    </div>
  );
}

function Other({ line }: { line: TapeLine }) {
  switch (line.kind) {
    case 'complete':
      return (
        <p>
          <Badge of={line.tag} tone="good" />
        </p>
      );
    case 'error':
    case 'notice':
      return (
        <p>
          <Badge of={`${line.severity} ${line.sqlstate}`} tone={line.kind === 'error' ? 'bad' : 'dim'} /> <Visible text={line.message} />
          {line.detail && (
            <span className="quiet">
              {' '}
              <Visible text={line.detail} />
            </span>
          )}
          {line.hint && (
            <em>
              {' '}
              <Visible text={line.hint} />
            </em>
          )}
        </p>
      );
    case 'cut':
    case 'unreadable':
      return (
        <p className="warning">
          {line.kind === 'cut' ? 'Left out: ' : 'Cannot be read: '}
          <Visible text={line.reason} />
        </p>
      );
    case 'exit':
      return (
        <p>
          <Badge of={line.signal ? `ended by ${line.signal}` : `exit ${line.exit_status ?? '?'}`} tone={line.exit_status === 0 ? 'good' : 'bad'} />
        </p>
      );
    case 'end':
      return <p className="quiet">The end.</p>;
    default: {
      const { at: _, kind, channel: __, ...rest } = line;
      return (
        <p className="quiet">
          {kind.replace('_', ' ')} <code><Visible text={JSON.stringify(rest)} /></code>
        </p>
      );
    }
  }
}
