import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useDeferredValue, useEffect, useMemo, useState } from 'react';
import { answered, api } from '../../api/client';
import { changeable } from '../../api/queries';
import { Ask, Reason } from '../../ui/Ask';
import { Badge, Busy, Trouble, Visible } from '../../ui/parts';
import { Cases, Mistakes } from './Cases';
import { Editor, type Place } from './Editor';
import { Simulate } from './Simulate';
import { type Draft, NOTHING, withFile, wrongName } from './draft';

/** How long nobody types before what is written is checked. */
const PAUSE = 400;

interface Props {
  draft: Draft;
  setDraft: (draft: Draft) => void;
  proposed: (id: string) => void;
}

/** The editor: checked as one types, tried, and proposed. */
export function Write({ draft, setDraft, proposed }: Props) {
  const client = useQueryClient();
  const present = useQuery(changeable);
  const before = useMemo(() => Object.fromEntries((present.data?.files ?? []).map((file) => [file.name, file.text])), [present.data]);
  const names = useMemo(() => [...new Set([...Object.keys(before), ...Object.keys(draft.files)])].sort(), [before, draft.files]);
  const [chosen, setChosen] = useState<string>();
  const [place, setPlace] = useState<Place>();
  const [isProposing, setProposing] = useState(false);
  const name = chosen && names.includes(chosen) ? chosen : names.find((one) => one.endsWith('.cedar'));
  const text = name === undefined ? undefined : name in draft.files ? draft.files[name] : before[name];
  const isChanged = Object.keys(draft.files).length > 0;
  const files = useSettled(draft.files, PAUSE);
  const checked = useQuery({
    queryKey: ['check', files],
    queryFn: () => answered(api.POST('/v1/policy/check', { body: { files } })),
    enabled: Object.keys(files).length > 0,
    placeholderData: (last) => last,
    gcTime: 0,
  });
  const mistakes = isChanged ? (checked.data?.mistakes ?? []) : [];
  const isRight = isChanged && checked.data !== undefined && mistakes.length === 0 && files === draft.files && !checked.isFetching;
  const tests = useMutation({ mutationFn: (of: Draft['files']) => answered(api.POST('/v1/policy/test', { body: { files: of } })) });
  if (present.error) return <Trouble error={present.error} again={() => void present.refetch()} />;
  if (!present.data) return <Busy of="Reading the files" />;
  const change = (next: string | null) => name && setDraft(withFile(draft, name, next, before[name]));
  return (
    <>
      {draft.changes && (
        <p role="note" className="warning">
          This takes the place of your proposal {draft.changes}: whoever agreed to it has to look again.
        </p>
      )}
      <div className="filters">
        <label className="field">
          <span>File</span>
          <select value={name ?? ''} onChange={(event) => setChosen(event.target.value)}>
            {names.map((one) => (
              <option key={one} value={one}>
                {one}
                {one in draft.files ? (draft.files[one] === null ? ' (removed)' : before[one] === undefined ? ' (new)' : ' (changed)') : ''}
              </option>
            ))}
          </select>
        </label>
        <NewFile
          known={names}
          make={(made) => {
            setDraft({ ...draft, files: { ...draft.files, [made]: '' } });
            setChosen(made);
          }}
        />
        <div className="buttons begin">
          {name && text !== null && name !== 'classification.toml' && (
            <button type="button" className="bad" onClick={() => change(null)}>
              Remove the file
            </button>
          )}
          {name && name in draft.files && (
            <button type="button" onClick={() => change(before[name] ?? null)}>
              As it was
            </button>
          )}
        </div>
      </div>
      {name !== undefined && typeof text === 'string' && (
        <Editor key={`${name} ${draft.changes ?? ''}`} name={name} text={text} change={change} mistakes={mistakes.filter((one) => one.file === name)} place={place?.file === name ? place : undefined} />
      )}
      {text === null && <p className="quiet">This file is removed.</p>}
      <div role="status" aria-label="Check">
        {!isChanged && <span className="quiet">Nothing is changed.</span>}
        {isChanged && checked.isFetching && <span className="quiet">Checking…</span>}
        {isRight && (
          <>
            <Badge of="right" tone="good" /> It is right.
          </>
        )}
        {mistakes.length > 0 && (
          <>
            <Badge of={mistakes.length === 1 ? '1 mistake' : `${mistakes.length} mistakes`} tone="bad" />
            <Mistakes
              of={mistakes}
              open={(mistake) => {
                setChosen(mistake.file);
                setPlace({ file: mistake.file, line: mistake.line, column: mistake.column, at: Date.now() });
              }}
            />
          </>
        )}
      </div>
      {checked.error && <Trouble error={checked.error} />}
      <div className="buttons begin">
        <button type="button" disabled={!isRight || tests.isPending} onClick={() => tests.mutate(draft.files)}>
          Run the cases
        </button>
        <button type="button" className="good" disabled={!isRight} onClick={() => setProposing(true)}>
          Propose
        </button>
        <button type="button" disabled={!isChanged} onClick={() => setDraft(NOTHING)}>
          Drop all changes
        </button>
      </div>
      {tests.error && <Trouble error={tests.error} />}
      {tests.data && <Cases of={tests.data} />}
      {isRight && (
        <>
          <h2>What would go otherwise</h2>
          <Simulate files={draft.files} />
        </>
      )}
      <Ask
        isOpen={isProposing}
        close={() => setProposing(false)}
        title="Propose this change?"
        verb="Propose"
        act={async (form) => {
          const body = { files: draft.files, reason: String(form.get('reason') ?? ''), base: present.data.revision };
          const made = draft.changes
            ? await answered(api.POST('/v1/proposals/{id}/change', { params: { path: { id: draft.changes } }, body }))
            : await answered(api.POST('/v1/proposals', { body }));
          setDraft(NOTHING);
          await client.invalidateQueries({ queryKey: ['proposals'] });
          proposed(made.proposal.id);
        }}
      >
        <ul className="plain">
          {Object.entries(draft.files).map(([one, after]) => (
            <li key={one}>
              <code>
                <Visible text={one} />
              </code>{' '}
              {after === null ? 'is removed' : before[one] === undefined ? 'is new' : 'is changed'}
            </li>
          ))}
        </ul>
        <p>
          {present.data.approvals === 1 ? 'Somebody else has' : `${present.data.approvals} others have`} to agree before it can come into force.
        </p>
        <Reason isNeeded hint={draft.reason || 'INC-42: support reads orders'} />
      </Ask>
    </>
  );
}

function NewFile({ known, make }: { known: string[]; make: (name: string) => void }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <div className="buttons begin">
        <button type="button" onClick={() => setOpen(true)}>
          New file
        </button>
      </div>
      <Ask
        isOpen={isOpen}
        close={() => setOpen(false)}
        title="A new file"
        verb="Make it"
        act={async (form) => {
          const name = String(form.get('name') ?? '').trim();
          const wrong = wrongName(name, known);
          if (wrong) throw new Error(wrong);
          make(name);
        }}
      >
        <label className="field">
          <span>Name</span>
          <input name="name" defaultValue="policies/" required autoFocus />
        </label>
      </Ask>
    </>
  );
}

/** A value, once it has not changed for a while. */
function useSettled<T>(value: T, pause: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), pause);
    return () => clearTimeout(timer);
  }, [value, pause]);
  return useDeferredValue(settled);
}
