import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { type Schemas, answered, api } from '../../api/client';
import { changeable, proposal, proposals, useMay, whoami } from '../../api/queries';
import { Ask, Reason } from '../../ui/Ask';
import { At, Badge, Busy, Empty, Fact, Name, Names, Trouble, Visible } from '../../ui/parts';
import { Cases } from './Cases';
import { Diffs } from './Diff';
import { Simulate } from './Simulate';

const TONES: Record<string, string> = { open: 'warn', applied: 'good', withdrawn: 'dim', expired: 'dim' };

interface Props {
  id: string | undefined;
  change: (proposal: Schemas['ProposalFilesView']) => void;
}

/** What is proposed, and what became of it. */
export function Proposals({ id, change }: Props) {
  const found = useQuery(proposals);
  if (id) return <One id={id} change={change} />;
  if (found.error) return <Trouble error={found.error} again={() => void found.refetch()} />;
  if (!found.data) return <Busy of="Looking" />;
  if (found.data.length === 0) {
    return (
      <Empty title="Nothing is proposed">
        <p>Write a change, try it, and propose it: it comes into force once somebody else agreed.</p>
      </Empty>
    );
  }
  return (
    <ul className="plain">
      {found.data.map((one) => (
        <li key={one.id}>
          <Badge of={one.status} tone={TONES[one.status] ?? ''} />{' '}
          <Link to="/policy" search={{ tab: 'proposals', proposal: one.id }}>
            <Visible text={one.reason} />
          </Link>{' '}
          <span className="quiet">
            by <Name of={one.author} />, <At millis={one.changed_at} />
            {one.status === 'open' && `, ${one.agreements.length} of ${one.needed} agreed`}
          </span>
        </li>
      ))}
    </ul>
  );
}

function One({ id, change }: { id: string; change: Props['change'] }) {
  const client = useQueryClient();
  const found = useQuery(proposal(id));
  const me = useQuery(whoami);
  const files = useQuery(changeable);
  const [mayPropose, mayApply] = [useMay('admin:propose'), useMay('admin:apply')];
  const [asks, setAsks] = useState<'approve' | 'apply' | 'withdraw'>();
  const renew = () => client.invalidateQueries();
  if (found.error) return <Trouble error={found.error} again={() => void found.refetch()} />;
  if (!found.data) return <Busy of="Looking" />;
  const { proposal: one, diffs, examined } = found.data;
  const isMe = (name: Schemas['SubjectName']) => name.issuer === me.data?.subject.issuer && name.id === me.data.subject.id;
  const isOwn = isMe(one.author);
  const hasAgreed = one.agreements.some((agreement) => isMe(agreement.by));
  const isOpen = one.status === 'open';
  const isAgreed = one.agreements.length >= one.needed;
  // What is agreed to is what stands on this page.
  const digest = { digest: one.digest };
  const path = { params: { path: { id: one.id } } };
  return (
    <article aria-label={`Proposal ${one.id}`}>
      <p>
        <Link to="/policy" search={{ tab: 'proposals' }}>
          All proposals
        </Link>
      </p>
      <h2>
        <Visible text={one.reason} />
      </h2>
      <dl className="facts">
        <Fact label="Status">
          <Badge of={one.status} tone={TONES[one.status] ?? ''} /> {one.revision && `as revision ${one.revision}`}
        </Fact>
        <Fact label="By">
          <Names of={one.author} behalf={one.on_behalf_of} />, <At millis={one.created_at} />
        </Fact>
        <Fact label="Changes revision">
          {one.base}
          {isOpen && !one.is_current && ', which is not in force any more: propose it again'}
        </Fact>
        <Fact label="Digest of what is agreed to">
          <code className="hash">{one.digest}</code>
        </Fact>
        <Fact label="Agreed">
          {one.agreements.length} of {one.needed}
          {one.agreements.map((agreement, at) => (
            <div key={at}>
              <Names of={agreement.by} behalf={agreement.on_behalf_of} />, <At millis={agreement.at} /> {agreement.reason && <Visible text={agreement.reason} />}
            </div>
          ))}
        </Fact>
      </dl>
      {isOpen && (
        <div className="buttons begin">
          {mayApply && !isOwn && !hasAgreed && (
            <button type="button" className="good" onClick={() => setAsks('approve')}>
              Agree
            </button>
          )}
          {mayApply && (
            <button type="button" onClick={() => setAsks('apply')} disabled={!isAgreed || !one.is_current || files.data?.may_apply === false}>
              Put into force
            </button>
          )}
          {isOwn && mayPropose && (
            <>
              <button type="button" onClick={() => found.data && change(found.data)}>
                Change
              </button>
              <button type="button" className="bad" onClick={() => setAsks('withdraw')}>
                Withdraw
              </button>
            </>
          )}
        </div>
      )}
      {isOpen && isOwn && <p className="quiet">Nobody agrees to their own proposal: somebody else has to look at it.</p>}
      {isOpen && files.data?.may_apply === false && (
        <p className="quiet">
          This Sluice lets nobody put it into force here (<code>[policy] apply</code>): make the change where the files are kept.
        </p>
      )}
      <h3>What changes</h3>
      <Diffs files={diffs} />
      {examined && (
        <>
          <h3>Cases</h3>
          <Cases of={examined} />
        </>
      )}
      {isOpen && one.is_current && (
        <>
          <h3>What would go otherwise</h3>
          <Simulate proposal={one.id} key={one.digest} />
        </>
      )}
      <Ask
        isOpen={asks === 'approve'}
        close={() => setAsks(undefined)}
        title="Agree to this change?"
        verb="Agree"
        act={async (form) => {
          const reason = String(form.get('reason') ?? '') || undefined;
          await answered(api.POST('/v1/proposals/{id}/approve', { ...path, body: { ...digest, ...(reason && { reason }) } }));
          await renew();
        }}
      >
        <p>You agree to what stands here, and to nothing that it may say later.</p>
        <Reason hint="looked at with ann" />
      </Ask>
      <Ask
        isOpen={asks === 'apply'}
        close={() => setAsks(undefined)}
        title="Put this into force?"
        verb="Put into force"
        act={async () => {
          await answered(api.POST('/v1/proposals/{id}/apply', { ...path, body: digest }));
          await renew();
        }}
      >
        <p>It decides every request from the next one on.</p>
      </Ask>
      <Ask
        isOpen={asks === 'withdraw'}
        close={() => setAsks(undefined)}
        title="Withdraw your proposal?"
        verb="Withdraw"
        tone="bad"
        act={async () => {
          await answered(api.POST('/v1/proposals/{id}/withdraw', path));
          await renew();
        }}
      />
    </article>
  );
}
