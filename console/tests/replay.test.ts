import { describe, expect, it } from 'vitest';
import type { TapeLine } from '../src/api/client';
import { Timeline, exchanges, shapeOf, unstyled } from '../src/lib/replay';
import { Lines } from '../src/lib/tape';
import { toCsv } from '../src/lib/csv';
import { span } from '../src/lib/time';

const line = (at: number, rest: object) => ({ at, ...rest }) as TapeLine;

describe('tapes', () => {
  it('are cut into lines wherever they were cut on the way', () => {
    const text = '{"at":1}\n\n{"at":2,"data":"é😀"}\n{"at":3}\n';
    const bytes = new TextEncoder().encode(text);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const lines = new Lines();
      const found = [...lines.feed(bytes.slice(0, cut)), ...lines.feed(bytes.slice(cut)), ...lines.feed(undefined)];
      expect(found).toEqual(['{"at":1}', '{"at":2,"data":"é😀"}', '{"at":3}']);
    }
  });

  it('of a database are requests with what came back', () => {
    const timeline = new Timeline();
    const ask = (at: number, statement: string) => line(at, { kind: 'request', request: `r${at}`, statement, values: [] });
    timeline.add([ask(10, 'select 1'), ask(11, 'select 2'), line(12, { kind: 'columns', names: ['a'] }), line(12, { kind: 'row', values: ['1'] })]);
    timeline.add([line(13, { kind: 'row', values: [null] }), line(15, { kind: 'complete', tag: 'SELECT 2' }), line(19, { kind: 'complete', tag: 'SELECT 0' })]);
    expect(timeline.steps.map((step) => step.kind)).toEqual(['request', 'request', 'rows', 'other', 'other']);
    expect(timeline.steps.flatMap((step) => (step.kind === 'request' ? [step.took] : []))).toEqual([5, 8]);
    expect(timeline.steps.flatMap((step) => (step.kind === 'rows' ? step.rows : []))).toEqual([['1'], [null]]);
  });

  it('of HTTP are exchanges, and channels may be used again', () => {
    const head = (at: number, path: string) => line(at, { kind: 'asked', channel: 1, method: 'GET', path, fields: [] });
    const end = (at: number, millis: number) => line(at, { kind: 'exchanged', channel: 1, status: 200, error: null, millis, input: null, output: null });
    const lines = [head(1, '/a'), line(2, { kind: 'answered', channel: 1, status: 200, fields: [] }), end(3, 2), head(9, '/b'), end(12, 3)];
    expect(shapeOf(lines)).toBe('http');
    expect(exchanges(lines).map((one) => [one.asked?.path, one.begin, one.end])).toEqual([['/a', 1, 3], ['/b', 9, 12]]);
  });

  it('are searched without what colours them', () => {
    expect(unstyled('\u001b[1;32mok\u001b[0m\u001b]0;title\u0007 \u001b(Bdone\r\n')).toBe('ok done\n');
  });
});

describe('tables for other programs', () => {
  it('hold no formula', () => {
    expect(toCsv(['a', 'b'], [['=1+1', '@x'], ['a"b', null], ['x,y', 3], ['-1', '+2']])).toBe(
      'a,b\r\n\'=1+1,\'@x\r\n"a""b",\r\n"x,y",3\r\n\'-1,\'+2\r\n',
    );
    expect(toCsv(['a'], [['x;=1+1'], ['x\t@y'], ['x\r=2'], ['a-b; c']])).toBe('a\r\n"x;\'=1+1"\r\n"x\t\'@y"\r\n"x\r\'=2"\r\n"a-b; c"\r\n');
  });
});

describe('spans', () => {
  it('are said in two units', () => {
    expect([0, 999, 61_000, 3_600_000, 90_061_000].map(span)).toEqual(['0 s', '1 s', '1 min 1 s', '1 h', '1 d 1 h']);
  });
});
