// What somebody writes, before it is a proposal.

/** Files as they are to be, by their names; null removes one. */
export interface Draft {
  files: Record<string, string | null>;
  reason: string;
  /** One's own proposal that it takes the place of. */
  changes?: string;
}

export const NOTHING: Draft = { files: {}, reason: '' };

/** The same, with one file otherwise; what is as it was is no change. */
export function withFile(draft: Draft, name: string, text: string | null, before: string | undefined): Draft {
  const { [name]: _, ...files } = draft.files;
  const isSame = text === null ? before === undefined : text === before;
  return { ...draft, files: isSame ? files : { ...files, [name]: text } };
}

/** Why a file cannot have this name; undefined if it can. */
export function wrongName(name: string, known: string[]): string | undefined {
  if (known.includes(name)) return 'There is such a file.';
  if (/^policies\/[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\.cedar$/.test(name) || /^tests\/[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\.toml$/.test(name)) return undefined;
  return 'Write policies/NAME.cedar or tests/NAME.toml, with letters, digits and _ - . in the name.';
}

/** The lines of a unified diff, by what they are. */
export function lines(diff: string): { kind: 'head' | 'place' | 'added' | 'removed' | 'same'; text: string }[] {
  const all = diff.endsWith('\n') ? diff.slice(0, -1).split('\n') : diff.split('\n');
  return all.map((text, at) => {
    if (at < 2) return { kind: 'head', text };
    const kind = { '@': 'place', '+': 'added', '-': 'removed' }[text[0] ?? ''] ?? 'same';
    return { kind: kind as 'place' | 'added' | 'removed' | 'same', text };
  });
}

/** A part of the whole, in percent. */
export function percent(part: number, whole: number): number {
  return whole > 0 ? Math.min(100, Math.floor((part / whole) * 100)) : 0;
}
