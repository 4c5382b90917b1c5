// Texts that others wrote: what cannot be seen, or turns what can, is shown as what it is.

export interface Piece {
  text: string;
  /** What an odd character is, for people; absent for plain text. */
  odd?: string;
}

const NAMES: Record<number, string> = {
  0x00: 'NUL', 0x07: 'BEL', 0x08: 'BS', 0x0b: 'VT', 0x0c: 'FF', 0x0d: 'CR', 0x1b: 'ESC', 0x7f: 'DEL',
  0x85: 'NEL', 0xa0: 'NBSP', 0xad: 'SHY', 0x61c: 'ALM', 0x180e: 'MVS', 0x200b: 'ZWSP', 0x200c: 'ZWNJ', 0x200d: 'ZWJ',
  0x200e: 'LRM', 0x200f: 'RLM', 0x2028: 'LS', 0x2029: 'PS', 0x202a: 'LRE', 0x202b: 'RLE', 0x202c: 'PDF',
  0x202d: 'LRO', 0x202e: 'RLO', 0x2060: 'WJ', 0x2066: 'LRI', 0x2067: 'RLI', 0x2068: 'FSI', 0x2069: 'PDI', 0xfeff: 'BOM',
};

// Controls but newline and tab, formatting and bidirectional characters, odd spaces, tags, variation selectors, lone
// surrogates, private use and what has no meaning.
const ODD = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u115f\u1160\u3164\uffa0\ufe00-\ufe0f]/u;

/** Whether a character is one that is shown as what it is. */
export function isOdd(character: string): boolean {
  return character !== '\n' && character !== '\t' && ODD.test(character);
}

/** The name of an odd character, such as `RLO U+202E`. */
export function nameOf(character: string): string {
  const point = character.codePointAt(0) ?? 0;
  const code = `U+${point.toString(16).toUpperCase().padStart(4, '0')}`;
  const name = NAMES[point];
  return name ? `${name} ${code}` : code;
}

/** Cuts a text into what is plain and what is odd. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let plain = '';
  for (const character of text) {
    if (!isOdd(character)) {
      plain += character;
      continue;
    }
    if (plain) found.push({ text: plain });
    plain = '';
    found.push({ text: character, odd: nameOf(character) });
  }
  if (plain) found.push({ text: plain });
  return found;
}

/** The same as one text, for places that take no markup. */
export function plainly(text: string): string {
  return pieces(text)
    .map((piece) => (piece.odd ? `⟨${piece.odd}⟩` : piece.text))
    .join('');
}

/** The same with each odd character covered, where each has its place and no other. */
export function covered(text: string): string {
  return [...text].map((character) => (isOdd(character) ? '\ufffd' : character)).join('');
}

/** How many odd characters there are. */
export function countOdd(text: string): number {
  return pieces(text).filter((piece) => piece.odd).length;
}
