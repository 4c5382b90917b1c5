// The packages have no symbolic links, which npm does not keep: a file of each says which there are.

import fs from 'node:fs';
import path from 'node:path';

const modules = path.join(import.meta.dirname, 'node_modules');
for (const name of fs.readdirSync(modules).filter((name) => name.startsWith('postgresql-'))) {
  const home = path.join(modules, name);
  for (const { source, target } of JSON.parse(fs.readFileSync(path.join(home, 'native/pg-symlinks.json')))) {
    const link = path.join(home, target);
    fs.rmSync(link, { force: true });
    fs.symlinkSync(path.relative(path.dirname(link), path.join(home, source)), link);
  }
}
