import { describe, expect, it } from 'vitest';
import { tokens } from '../src/lib/sql';

describe('the colours of SQL', () => {
  it('leave nothing out, whatever stands there', () => {
    const odd = ["select 'a''b', $$x$$, $t$ y $t$, \"Q\"\"q\", 1.5, $1 -- end", "'open", '$$open', '/* open', '"open', '\u202e', '', ';;;', 'é…'];
    for (const sql of odd) expect(tokens(sql).map((token) => token.text).join('')).toBe(sql);
  });

  it('know a text from a word', () => {
    const kinds = (sql: string) => tokens(sql).filter((token) => token.kind !== 'space').map((token) => token.kind);
    expect(kinds('DELETE FROM orders')).toEqual(['keyword', 'keyword', 'word']);
    expect(kinds("'delete' -- x")).toEqual(['text', 'comment']);
    expect(kinds('$tag$ from $tag$ x')).toEqual(['text', 'word']);
  });
});
