// How Cedar looks: enough of its grammar for colours. Whether it is right says Sluice.
import { StreamLanguage, type StringStream } from '@codemirror/language';

const EFFECTS = new Set(['permit', 'forbid', 'when', 'unless']);
const WORDS = new Set(['in', 'has', 'like', 'is', 'if', 'then', 'else']);
const VARIABLES = new Set(['principal', 'action', 'resource', 'context']);

/** What the next piece of a line is. */
export function token(stream: Pick<StringStream, 'match' | 'eatSpace' | 'next' | 'skipToEnd'>): string | null {
  if (stream.eatSpace()) return null;
  if (stream.match('//')) {
    stream.skipToEnd();
    return 'comment';
  }
  // A text that does not end goes to the end of the line.
  if (stream.match(/^"(?:[^"\\]|\\.)*"?/)) return 'string';
  if (stream.match(/^@[A-Za-z_]\w*/)) return 'meta';
  if (stream.match(/^\d+/)) return 'number';
  const word = stream.match(/^[A-Za-z_]\w*/);
  if (Array.isArray(word) || (word && typeof word === 'object')) {
    const text = String((word as RegExpMatchArray)[0]);
    if (EFFECTS.has(text)) return 'keyword';
    if (WORDS.has(text)) return 'operatorKeyword';
    if (VARIABLES.has(text)) return 'variableName.special';
    if (text === 'true' || text === 'false') return 'bool';
    return /^[A-Z]/.test(text) ? 'typeName' : 'variableName';
  }
  stream.next();
  return null;
}

export const cedar = StreamLanguage.define({ name: 'cedar', token, languageData: { commentTokens: { line: '//' }, closeBrackets: { brackets: ['(', '[', '{', '"'] } } });

/** TOML, likewise: tables, keys, texts. */
export const toml = StreamLanguage.define({
  name: 'toml',
  token(stream) {
    if (stream.eatSpace()) return null;
    if (stream.match('#')) {
      stream.skipToEnd();
      return 'comment';
    }
    if (stream.sol() && stream.match(/^\[\[?[^\]]*\]\]?/)) return 'keyword';
    if (stream.match(/^"(?:[^"\\]|\\.)*"?/) || stream.match(/^'[^']*'?/)) return 'string';
    if (stream.match(/^[A-Za-z_][\w.-]*(?=\s*=)/)) return 'variableName.special';
    if (stream.match(/^(?:true|false)\b/)) return 'bool';
    if (stream.match(/^\d[\w:.-]*/)) return 'number';
    stream.next();
    return null;
  },
  languageData: { commentTokens: { line: '#' } },
});
