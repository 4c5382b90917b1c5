// What a tape tells, ordered so that people can read it.
import type { TapeLine } from '../api/client';

export type Shape = 'database' | 'terminal' | 'http';

type Of<Kind extends TapeLine['kind']> = Extract<TapeLine, { kind: Kind }>;

/** A step of the timeline: a request, an answer, or something between. */
export type Step =
  | { kind: 'request'; at: number; channel: number | undefined; line: Of<'request'>; took: number | undefined }
  | { kind: 'rows'; at: number; channel: number | undefined; names: string[]; rows: (string | null)[][] }
  | { kind: 'text'; at: number; channel: number | undefined; from: 'input' | 'output' | 'error_output' | 'copy'; text: string }
  | { kind: 'other'; at: number; channel: number | undefined; line: TapeLine };

export function shapeOf(lines: TapeLine[]): Shape {
  for (const line of lines) {
    if (line.kind === 'asked' || line.kind === 'answered' || line.kind === 'exchanged') return 'http';
    if (line.kind === 'size') return 'terminal';
  }
  return 'database';
}

/** Builds the timeline as lines come: nothing is looked at twice. */
export class Timeline {
  readonly steps: Step[] = [];
  private open: Extract<Step, { kind: 'request' }>[] = [];

  add(lines: TapeLine[]): void {
    for (const line of lines) this.one(line);
  }

  private one(line: TapeLine): void {
    const [at, channel, last] = [line.at, line.channel ?? undefined, this.steps.at(-1)];
    switch (line.kind) {
      case 'request': {
        const step = { kind: 'request' as const, at, channel, line, took: undefined };
        this.open.push(step);
        this.steps.push(step);
        return;
      }
      case 'columns':
        this.steps.push({ kind: 'rows', at, channel, names: line.names, rows: [] });
        return;
      case 'row': {
        const values = line.values.map((value) => value ?? null);
        if (last?.kind === 'rows' && last.channel === channel) last.rows.push(values);
        else this.steps.push({ kind: 'rows', at, channel, names: [], rows: [values] });
        return;
      }
      case 'copy':
      case 'input':
      case 'output':
      case 'error_output':
        if (last?.kind === 'text' && last.from === line.kind && last.channel === channel && last.text.length < 20_000) last.text += line.data;
        else this.steps.push({ kind: 'text', at, channel, from: line.kind, text: line.data });
        return;
      case 'complete':
      case 'error':
        this.ended(at);
        break;
      default:
    }
    this.steps.push({ kind: 'other', at, channel, line });
  }

  /** What was asked for first is answered first. */
  private ended(at: number): void {
    const first = this.open.shift();
    if (first) first.took = at - first.at;
  }
}

export interface Exchange {
  channel: number;
  asked: Of<'asked'> | undefined;
  answered: Of<'answered'> | undefined;
  ended: Of<'exchanged'> | undefined;
  begin: number;
  end: number;
}

/** The exchanges of HTTP in the order in which they began. */
export function exchanges(lines: TapeLine[]): Exchange[] {
  const found: Exchange[] = [];
  const open = new Map<number, Exchange>();
  for (const line of lines) {
    const channel = line.channel ?? 0;
    if (line.kind === 'asked' || (line.kind === 'answered' && !open.has(channel))) {
      const fresh = { channel, asked: undefined, answered: undefined, ended: undefined, begin: line.at, end: line.at };
      open.set(channel, fresh);
      found.push(fresh);
    }
    const one = open.get(channel);
    if (!one) continue;
    one.end = Math.max(one.end, line.at);
    if (line.kind === 'asked') one.asked = line;
    else if (line.kind === 'answered') one.answered = line;
    else if (line.kind === 'exchanged') {
      one.ended = line;
      one.end = Math.max(one.end, one.begin + line.millis);
      open.delete(channel);
    }
  }
  return found;
}

/** The channels with a terminal or its output, in their order. */
export function channels(lines: TapeLine[]): number[] {
  const found = new Set<number>();
  for (const line of lines) if ((line.kind === 'output' || line.kind === 'size') && line.channel != null) found.add(line.channel);
  return [...found].sort((one, other) => one - other);
}

/** The very bytes of a piece of a stream. */
export function bytesOf(line: Of<'output'>): string | Uint8Array {
  if (line.bytes == null) return line.data;
  return Uint8Array.from(atob(line.bytes), (character) => character.charCodeAt(0));
}

/** A text without what only moves the cursor or colours it, for searching. */
export function unstyled(text: string): string {
  // ESC [ … letter, ESC ] … BEL or ESC \, and ESC with what it names.
  return text.replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[ -/]*[0-~])/g, '').replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, '');
}
