import { describe, expect, it } from 'vitest';
import { countOdd, covered, isOdd, nameOf, pieces, plainly } from '../src/lib/text';

describe('texts of others', () => {
  it('shows what turns the text around', () => {
    const said = "DELETE FROM orders WHERE id = 1 /*\u202e } \u2066if admin\u2069 \u2066 begin*/";
    expect(countOdd(said)).toBe(4);
    expect(plainly(said)).toContain('⟨RLO U+202E⟩');
    expect(pieces(said).map((piece) => piece.text).join('')).toBe(said);
  });

  it('shows what cannot be seen', () => {
    for (const character of ['\u0000', '\u0007', '\u001b', '\r', '\u007f', '\u0085', '\u00a0', '\u00ad', '\u061c', '\u115f', '\u180e', '\u200b',
      '\u200d', '\u200f', '\u2028', '\u202d', '\u2060', '\u2067', '\u3000', '\u3164', '\ufe0f', '\ufeff', '\uffa0', '\ue000', '\u{e0041}', '\u{10ffff}',
      '\ud800']) {
      expect(isOdd(character), character.codePointAt(0)?.toString(16)).toBe(true);
    }
  });

  it('leaves what people write as it is', () => {
    for (const text of ['select 1', 'Grüße', '你好', 'שלום', 'مرحبا', '\tx\ny', '😀', 'e\u0301', '–']) {
      expect(countOdd(text), text).toBe(0);
    }
  });

  it('covers each where it has a place of its own', () => {
    expect(covered('a\u202eb 你😀')).toBe('a\ufffdb 你😀');
  });

  it('names by code where there is no name', () => {
    expect(nameOf('\u202e')).toBe('RLO U+202E');
    expect(nameOf('\u{e0041}')).toBe('U+E0041');
  });
});
