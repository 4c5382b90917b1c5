// Enough of SQL to colour it. What is not understood is plain; nothing is left out or moved.

export type Kind = 'word' | 'keyword' | 'text' | 'number' | 'comment' | 'mark' | 'space';

export interface Token {
  kind: Kind;
  text: string;
}

const KEYWORDS = new Set(
  `select insert update delete from where and or not in is null join left right inner outer full cross on using group by order
  having limit offset as distinct union all except intersect values into set returning with recursive create alter drop table
  index view schema database role user grant revoke truncate copy begin commit rollback savepoint case when then else end
  exists between like ilike asc desc cascade restrict primary key foreign references default check constraint unique call do
  execute prepare analyze vacuum explain merge matched nothing conflict for show reset lock window over partition true false`
    .split(/\s+/),
);

const TOKEN =
  /(--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|('(?:[^']|'')*(?:'|$)|\$([A-Za-z_]*)\$[\s\S]*?(?:\$\3\$|$))|("(?:[^"]|"")*(?:"|$)|[\p{L}_][\p{L}\p{N}_$]*)|(\$?\d+(?:\.\d+)?)|(\s+)|([\s\S])/gu;

export function tokens(sql: string): Token[] {
  const found: Token[] = [];
  for (const match of sql.matchAll(TOKEN)) {
    const [text, comment, literal, , word, number, space] = match;
    if (comment !== undefined) found.push({ kind: 'comment', text });
    else if (literal !== undefined) found.push({ kind: 'text', text });
    else if (word !== undefined) found.push({ kind: KEYWORDS.has(word.toLowerCase()) ? 'keyword' : 'word', text });
    else if (number !== undefined) found.push({ kind: 'number', text });
    else if (space !== undefined) found.push({ kind: 'space', text });
    else found.push({ kind: 'mark', text });
  }
  return found;
}
