import { StringStream } from '@codemirror/language';
import { expect, test } from 'vitest';
import { token } from '../src/pages/policy/cedar';
import { lines, percent, withFile, wrongName } from '../src/pages/policy/draft';

/** The pieces of a line that have a colour. */
function coloured(line: string): [string, string][] {
  const stream = new StringStream(line, 2, 2);
  const found: [string, string][] = [];
  while (!stream.eol()) {
    stream.start = stream.pos;
    const kind = token(stream);
    expect(stream.pos).toBeGreaterThan(stream.start);
    if (kind) found.push([stream.current(), kind]);
  }
  return found;
}

test('a line of Cedar has the colours of its words', () => {
  expect(coloured('@id("a") // why')).toEqual([
    ['@id', 'meta'],
    ['"a"', 'string'],
    ['// why', 'comment'],
  ]);
  expect(coloured('permit (principal in Group::"dba", action, resource)')).toEqual([
    ['permit', 'keyword'],
    ['principal', 'variableName.special'],
    ['in', 'operatorKeyword'],
    ['Group', 'typeName'],
    ['"dba"', 'string'],
    ['action', 'variableName.special'],
    ['resource', 'variableName.special'],
  ]);
  expect(coloured('when { resource.name == "a \\" // b" && 12 < x && true };').map(([, kind]) => kind)).toEqual([
    'keyword', 'variableName.special', 'variableName', 'string', 'number', 'variableName', 'bool',
  ]);
});

test('whatever is typed has an end', () => {
  for (const odd of ['"unfinished', '"ends in \\', '@', '@@', '\u{202e}x', 'permitx forbid_', '😀 "😀']) coloured(odd);
  expect(coloured('"unfinished')).toEqual([['"unfinished', 'string']]);
  expect(coloured('permitx')).toEqual([['permitx', 'variableName']]);
});

test('a draft holds what differs, and nothing else', () => {
  const nothing = { files: {}, reason: '' };
  const changed = withFile(nothing, 'policies/a.cedar', 'b', 'a');
  expect(changed.files).toEqual({ 'policies/a.cedar': 'b' });
  expect(withFile(changed, 'policies/a.cedar', 'a', 'a').files).toEqual({});
  expect(withFile(changed, 'policies/a.cedar', null, 'a').files).toEqual({ 'policies/a.cedar': null });
  const made = withFile(nothing, 'policies/new.cedar', '', undefined);
  expect(made.files).toEqual({ 'policies/new.cedar': '' });
  expect(withFile(made, 'policies/new.cedar', null, undefined).files).toEqual({});
});

test('a new file has a name that the API takes', () => {
  expect(wrongName('policies/10-a_b.c.cedar', [])).toBeUndefined();
  expect(wrongName('tests/a.toml', [])).toBeUndefined();
  for (const name of ['policies/a.cedar', 'targets.toml', 'policies/../a.cedar', 'policies/.a.cedar', 'policies/a/b.cedar', 'tests/a.cedar', 'policies/', '']) {
    expect(wrongName(name, ['policies/a.cedar']), name).toBeDefined();
  }
});

test('a diff is read by its lines', () => {
  const diff = '--- a/policies/a.cedar\n+++ b/policies/a.cedar\n@@ -1,2 +1,2 @@\n one\n-two\n+--- a\n';
  expect(lines(diff).map(({ kind }) => kind)).toEqual(['head', 'head', 'place', 'same', 'removed', 'added']);
});

test('progress is a part of the whole', () => {
  expect([percent(0, 0), percent(1, 3), percent(3, 3), percent(9, 3)]).toEqual([0, 33, 100, 100]);
});
