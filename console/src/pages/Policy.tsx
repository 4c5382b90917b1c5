import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { Suspense, lazy, useCallback, useState } from 'react';
import { useMay } from '../api/queries';
import { Busy, EXACT, useTitle } from '../ui/parts';
import { NotForYou } from '../ui/Shell';
import { type Draft, NOTHING } from './policy/draft';
import { History } from './policy/History';
import { InForce } from './policy/InForce';
import { Proposals } from './policy/Proposals';

// What it is written in is loaded by whoever writes.
const Write = lazy(() => import('./policy/Write').then(({ Write }) => ({ default: Write })));

const TABS = [
  { tab: 'force', name: 'In force', verb: 'admin:read' },
  { tab: 'history', name: 'History', verb: 'admin:read' },
  { tab: 'proposals', name: 'Proposals', verb: 'admin:read' },
  { tab: 'write', name: 'Write', verb: 'admin:propose' },
] as const;

/** Policies: what is in force, what was, what is proposed, and what somebody writes. */
export function Policy() {
  useTitle('Policy');
  const search = useSearch({ from: '/policy' });
  const navigate = useNavigate();
  const [mayRead, mayPropose] = [useMay('admin:read'), useMay('admin:propose')];
  // What is written stays while one looks at the other tabs.
  const [draft, setDraft] = useState<Draft>(NOTHING);
  const show = useCallback((more: { tab: string; proposal?: string }) => void navigate({ to: '/policy', search: more }), [navigate]);
  if (!mayRead) {
    return (
      <>
        <h1>Policy</h1>
        <NotForYou verb="admin:read" />
      </>
    );
  }
  const places = TABS.filter(({ verb }) => verb === 'admin:read' || mayPropose);
  const tab = places.some((place) => place.tab === search.tab) ? search.tab : 'force';
  return (
    <>
      <h1>Policy</h1>
      <div className="filters">
        <div className="switch" role="group" aria-label="Which">
          {places.map((place) => (
            <Link
              key={place.tab}
              to="/policy"
              search={{ tab: place.tab }}
              activeOptions={EXACT}
              className={tab === place.tab ? 'active' : ''}
              aria-current={tab === place.tab ? 'true' : undefined}
            >
              {place.name}
            </Link>
          ))}
        </div>
      </div>
      {tab === 'force' && <InForce />}
      {tab === 'history' && <History revision={search.revision} against={search.against} />}
      {tab === 'proposals' && (
        <Proposals
          id={search.proposal}
          change={(proposal) => {
            setDraft({ files: proposal.files, reason: proposal.proposal.reason, changes: proposal.proposal.id });
            show({ tab: 'write' });
          }}
        />
      )}
      {tab === 'write' && (
        <Suspense fallback={<Busy of="Loading the editor" />}>
          <Write draft={draft} setDraft={setDraft} proposed={(id) => show({ tab: 'proposals', proposal: id })} />
        </Suspense>
      )}
    </>
  );
}
