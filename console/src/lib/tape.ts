// Tapes: lines of JSON as they come.
import { Problem, type TapeLine, mark, problemOf } from '../api/client';

/** Cuts a stream into lines, however they were cut on the way. */
export class Lines {
  private readonly decoder = new TextDecoder();
  private rest = '';

  /** The lines that are complete now, without the empty ones that only say that it goes on. */
  feed(bytes: Uint8Array | undefined): string[] {
    this.rest += bytes ? this.decoder.decode(bytes, { stream: true }) : this.decoder.decode();
    const lines = this.rest.split('\n');
    this.rest = lines.pop() ?? '';
    return lines.filter((line) => line !== '');
  }
}

/** Reads a tape, or follows one; tells of the lines in the pieces that they come in. */
export async function follow(path: string, signal: AbortSignal, tell: (lines: TapeLine[]) => void): Promise<void> {
  const response = await fetch(path, { headers: mark(), credentials: 'same-origin', cache: 'no-store', signal });
  if (!response.ok) throw await problemOf(response);
  if (!response.body) throw new Problem(0, 'the tape has no content');
  const [lines, reader] = [new Lines(), response.body.getReader()];
  for (;;) {
    const { done, value } = await reader.read();
    const found = lines.feed(value).map((line) => JSON.parse(line) as TapeLine);
    if (found.length > 0) tell(found);
    if (done) return;
  }
}
