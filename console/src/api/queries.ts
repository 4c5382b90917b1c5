// What the pages ask for, in one place: the same question has the same key everywhere.
import { queryOptions, useQuery } from '@tanstack/react-query';
import { answered, api } from './client';

export const whoami = queryOptions({
  queryKey: ['whoami'],
  queryFn: () => answered(api.GET('/v1/whoami')),
  staleTime: 30_000,
  refetchInterval: 60_000,
  retry: false,
});

export type Verb = 'admin:read' | 'admin:audit' | 'admin:replay' | 'admin:sessions' | 'admin:approve' | 'admin:operate' | 'admin:propose' | 'admin:apply';

/** Whether whoever is signed in may do this. The server decides anyway: this only keeps useless buttons away. */
export function useMay(verb: Verb): boolean {
  const { data } = useQuery(whoami);
  return data?.may.includes(verb) ?? false;
}

export const pending = queryOptions({
  queryKey: ['approvals', 'pending'],
  queryFn: () => answered(api.GET('/v1/approvals', { params: { query: { status: 'pending', limit: 1000 } } })),
  refetchInterval: 2_000,
  refetchIntervalInBackground: true,
});

export const allApprovals = queryOptions({
  queryKey: ['approvals', 'all'],
  queryFn: () => answered(api.GET('/v1/approvals', { params: { query: { limit: 1000 } } })),
  refetchInterval: 5_000,
});

export const approval = (id: string) =>
  queryOptions({
    queryKey: ['approvals', id],
    queryFn: () => answered(api.GET('/v1/approvals/{id}', { params: { path: { id } } })),
    refetchInterval: 2_000,
  });

export const live = queryOptions({
  queryKey: ['sessions', 'live'],
  queryFn: () => answered(api.GET('/v1/sessions')),
  refetchInterval: 2_000,
});

export const session = (id: string) =>
  queryOptions({
    queryKey: ['sessions', id],
    queryFn: () => answered(api.GET('/v1/sessions/{id}', { params: { path: { id } } })),
    refetchInterval: 3_000,
  });

export const revision = queryOptions({
  queryKey: ['revision'],
  queryFn: () => answered(api.GET('/v1/revision')),
  refetchInterval: 10_000,
});

export const policies = queryOptions({
  queryKey: ['policies'],
  queryFn: () => answered(api.GET('/v1/revision/policies')),
});

export const revisions = queryOptions({
  queryKey: ['revisions'],
  queryFn: () => answered(api.GET('/v1/revisions')),
});

export const changeable = queryOptions({
  queryKey: ['revision', 'files'],
  queryFn: () => answered(api.GET('/v1/revision/files')),
});

export const proposals = queryOptions({
  queryKey: ['proposals'],
  queryFn: () => answered(api.GET('/v1/proposals')),
  refetchInterval: 5_000,
});

export const proposal = (id: string) =>
  queryOptions({
    queryKey: ['proposals', id],
    queryFn: () => answered(api.GET('/v1/proposals/{id}', { params: { path: { id } } })),
    refetchInterval: 5_000,
  });

export const health = queryOptions({
  queryKey: ['health'],
  queryFn: () => answered(api.GET('/v1/health')),
  refetchInterval: 5_000,
});
