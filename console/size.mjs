// After a build: compresses what is served, and fails if the first page loads too much.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const MOST = 300 * 1024;
const dist = path.join(import.meta.dirname, 'dist');
const compress = (bytes) =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });

for (const folder of [dist, path.join(dist, 'assets')]) {
  for (const name of readdirSync(folder)) {
    if (/\.(js|css|html|svg)$/.test(name)) {
      const file = path.join(folder, name);
      writeFileSync(`${file}.br`, compress(readFileSync(file)));
    }
  }
}

// What the page names is loaded at once; all else when it is needed.
const page = readFileSync(path.join(dist, 'index.html'), 'utf8');
const scripts = [...page.matchAll(/(?:src|href)="(\/assets\/[^"]+\.js)"/g)].map((match) => match[1]);
const size = scripts.reduce((sum, name) => sum + gzipSync(readFileSync(path.join(dist, name))).length, 0);
console.log(`first load: ${Math.round(size / 1024)} KiB of compressed script, at most ${MOST / 1024} KiB`);
if (scripts.length === 0 || size > MOST) {
  console.error('the first page loads too much, or nothing');
  process.exit(1);
}
