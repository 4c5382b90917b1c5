import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';
import { Shell } from './ui/Shell';
import { Missing } from './ui/parts';

type Query = Record<string, unknown>;
const text = (query: Query, name: string) => {
  const value = query[name];
  return typeof value === 'string' || typeof value === 'number' ? { [name]: String(value) } : {};
};
const texts = <Name extends string>(query: Query, names: readonly Name[]): Partial<Record<Name, string>> =>
  Object.assign({}, ...names.map((name) => text(query, name)));

/** What narrows a search of the record, as the API calls it. */
export const FILTERS = [
  'since', 'until', 'subject', 'on_behalf_of', 'target', 'table', 'column', 'verb', 'outcome', 'policy', 'class', 'now',
  'text', 'session', 'request', 'approval',
] as const;

const root = createRootRoute({ component: Shell, notFoundComponent: Missing });
const route = createRoute;

const home = route({
  getParentRoute: () => root,
  path: '/',
  validateSearch: (query: Query) => texts(query, ['signin']),
  component: lazyRouteComponent(() => import('./pages/Home'), 'Home'),
});
const approvals = route({
  getParentRoute: () => root,
  path: '/approvals',
  validateSearch: (query: Query) => texts(query, ['show', 'ask']),
  component: lazyRouteComponent(() => import('./pages/Approvals'), 'Approvals'),
});
const approval = route({
  getParentRoute: () => root,
  path: '/approvals/$id',
  component: lazyRouteComponent(() => import('./pages/Approvals'), 'OneApproval'),
});
const sessions = route({
  getParentRoute: () => root,
  path: '/sessions',
  validateSearch: (query: Query) => texts(query, ['show', 'subject', 'target']),
  component: lazyRouteComponent(() => import('./pages/Sessions'), 'Sessions'),
});
const session = route({
  getParentRoute: () => root,
  path: '/sessions/$id',
  validateSearch: (query: Query) => texts(query, ['at']),
  component: lazyRouteComponent(() => import('./pages/Session'), 'Session'),
});
const audit = route({
  getParentRoute: () => root,
  path: '/audit',
  validateSearch: (query: Query) => texts(query, [...FILTERS, 'show']),
  component: lazyRouteComponent(() => import('./pages/Audit'), 'Audit'),
});
const policy = route({
  getParentRoute: () => root,
  path: '/policy',
  validateSearch: (query: Query) => texts(query, ['tab', 'revision', 'against', 'proposal']),
  component: lazyRouteComponent(() => import('./pages/Policy'), 'Policy'),
});
const access = route({
  getParentRoute: () => root,
  path: '/access',
  validateSearch: (query: Query) => texts(query, ['subject', 'target', 'who', 'at', 'kind', 'groups']),
  component: lazyRouteComponent(() => import('./pages/Access'), 'Access'),
});
const targets = route({
  getParentRoute: () => root,
  path: '/targets',
  component: lazyRouteComponent(() => import('./pages/Targets'), 'Targets'),
});

export const router = createRouter({
  routeTree: root.addChildren([home, approvals, approval, sessions, session, audit, policy, access, targets]),
  defaultPreload: 'intent',
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
