import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useLocation } from '@tanstack/react-router';
import { type ReactNode, Suspense, useEffect, useRef, useState } from 'react';
import { Problem, answered, api } from '../api/client';
import { pending, useMay, whoami } from '../api/queries';
import { Busy, Empty, Trouble, Visible, useTitle } from './parts';
import { type Theme, applyTheme, theme } from './theme';

export function Shell() {
  const who = useQuery(whoami);
  if (who.isPending) return <Busy of="Asking who you are" />;
  if (who.error instanceof Problem && who.error.status === 401) return <SignIn />;
  if (who.error) return <Trouble error={who.error} again={() => void who.refetch()} />;
  return <Inside />;
}

function SignIn() {
  useTitle('Sign in');
  const location = useLocation();
  const query = new URLSearchParams(window.location.search);
  const hasFailed = query.get('signin') === 'failed';
  const here = hasFailed ? '/' : location.href;
  return (
    <main className="signin">
      <h1>Sluice</h1>
      <p>Approvals, live sessions and the record of who saw what.</p>
      {hasFailed && (
        <p className="trouble" role="alert">
          You are not signed in: the issuer did not say who you are, or Sluice does not believe it. Its log says why.
        </p>
      )}
      <a className="button good" href={`/signin?to=${encodeURIComponent(here)}`}>
        Sign in
      </a>
      <p className="quiet">You sign in where your company does. Sluice sees no password.</p>
    </main>
  );
}

const PLACES = [
  { to: '/', name: 'Overview', verb: undefined, icon: '◫' },
  { to: '/approvals', name: 'Approvals', verb: undefined, icon: '✓' },
  { to: '/sessions', name: 'Sessions', verb: undefined, icon: '▸' },
  { to: '/audit', name: 'Audit', verb: 'admin:audit', icon: '⌕' },
  { to: '/policy', name: 'Policy', verb: 'admin:read', icon: '§' },
  { to: '/access', name: 'Access', verb: 'admin:audit', icon: '⊞' },
  { to: '/targets', name: 'Targets', verb: 'admin:read', icon: '◉' },
] as const;

function Inside() {
  const { data } = useQuery(whoami);
  const main = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  // Whoever reads by keyboard or ear is at the beginning of each page.
  const isFirst = useRef(true);
  useEffect(() => {
    if (!isFirst.current) main.current?.focus();
    isFirst.current = false;
  }, [pathname]);
  const places = PLACES.filter((place) => place.verb === undefined || data?.may.includes(place.verb));
  return (
    <div className="shell">
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <header>
        <Link to="/" className="brand">
          Sluice
        </Link>
        <Who />
      </header>
      <nav aria-label="Pages">
        {places.map((place) => (
          <Link
            key={place.to}
            to={place.to}
            activeOptions={{ exact: place.to === '/', includeSearch: false }}
            activeProps={{ className: 'active', 'aria-current': 'page' }}
          >
            <span className="icon" aria-hidden="true">
              {place.icon}
            </span>
            <span>{place.name}</span>
            {place.to === '/approvals' && <Waiting />}
          </Link>
        ))}
      </nav>
      <main id="main" ref={main} tabIndex={-1}>
        <Suspense fallback={<Busy of="Loading" />}>
          <Outlet />
        </Suspense>
      </main>
    </div>
  );
}

function Waiting() {
  const may = useMay('admin:approve');
  const { data } = useQuery({ ...pending, enabled: may });
  if (!data?.length) return null;
  return (
    <span className="count">
      {data.length}
      <span className="hidden"> waiting</span>
    </span>
  );
}

function Who() {
  const client = useQueryClient();
  const { data } = useQuery(whoami);
  const [shown, setShown] = useState<Theme>(theme);
  const leave = useMutation({
    mutationFn: () => answered(api.POST('/signout')),
    onSettled: () => {
      client.clear();
      window.location.assign('/');
    },
  });
  if (!data) return null;
  return (
    <details className="who">
      <summary>
        <span className="hidden">You are </span>
        <Visible text={data.subject.id} />
      </summary>
      <div className="menu">
        <p className="quiet">
          <Visible text={`${data.subject.issuer}|${data.subject.id}`} />
          <br />
          {data.groups.length > 0 ? <Visible text={data.groups.join(', ')} /> : 'in no group'}
        </p>
        <label className="field">
          <span>Colours</span>
          <select
            value={shown}
            onChange={(event) => {
              const wanted = event.target.value as Theme;
              setShown(wanted);
              applyTheme(wanted);
            }}
          >
            <option value="system">as the system</option>
            <option value="light">light</option>
            <option value="dark">dark</option>
          </select>
        </label>
        <button type="button" onClick={() => leave.mutate()} disabled={leave.isPending}>
          Sign out
        </button>
      </div>
    </details>
  );
}

/** What somebody sees where they may not be. */
export function NotForYou({ verb, children }: { verb: string; children?: ReactNode }) {
  return (
    <Empty title="This is not yours to see">
      <p>
        It takes <code>{verb}</code>, which no policy gives you. Whoever writes the policies can change that.
      </p>
      {children}
    </Empty>
  );
}
