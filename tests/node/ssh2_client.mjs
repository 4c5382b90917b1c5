// A client of SSH with ssh2; what it prints is as tests/ssh/paramiko_client.py says.

import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import { once } from 'node:events';
import { promisify } from 'node:util';
import ssh2 from 'ssh2';

const { SLUICE_HOST, SLUICE_PORT, SLUICE_USER, SLUICE_TOKEN, SLUICE_KEY, SLUICE_KNOWN_HOSTS } = process.env;
const folder = `${process.env.SLUICE_FOLDER}/node`;
const echo = Number(process.env.SLUICE_ECHO);
const LIMIT = 60_000;
const LARGE = Buffer.alloc(1 << 20).map((_, index) => (index * 7) % 251);
const report = { about: `ssh2 ${JSON.parse(fs.readFileSync('node_modules/ssh2/package.json')).version}` };

// It leaves the host key to its caller. A name is `[host]:port`; only plain lines are read.
const isKnown = (key) => {
  const lines = fs.readFileSync(SLUICE_KNOWN_HOSTS, 'utf8').split('\n');
  const known = lines.map((line) => line.split(' ')).filter(([name]) => name === `[${SLUICE_HOST}]:${SLUICE_PORT}`);
  return known.some(([, , base64]) => base64 === key.toString('base64'));
};

const connected = async () => {
  const client = new ssh2.Client();
  client.on('keyboard-interactive', (_name, _text, _language, prompts, finish) => finish(prompts.map(() => SLUICE_TOKEN)));
  const ready = once(client, 'ready');
  client.connect({
    host: SLUICE_HOST, port: Number(SLUICE_PORT), username: SLUICE_USER, hostVerifier: isKnown, readyTimeout: LIMIT,
    ...(SLUICE_KEY ? { privateKey: fs.readFileSync(SLUICE_KEY) } : { password: SLUICE_TOKEN, tryKeyboard: true }),
  });
  await ready;
  return client;
};

const all = async (stream) => {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
};

// The end of a program can come in one packet with the word that it began: whoever awaits the channel before it listens to
// it can miss that.
const executed = (client, line, options) =>
  new Promise((resolve, reject) => {
    client.exec(line, options, (error, channel) => {
      if (error) reject(error);
      else resolve({ channel, exit: once(channel, 'exit') });
    });
  });

const outcome = async (client, line, given = '', options = {}) => {
  const { channel, exit } = await executed(client, line, options);
  channel.end(given);
  const [stdout, stderr, [status, signal]] = await Promise.all([all(channel), all(channel.stderr), exit]);
  return { stdout: stdout.toString(), stderr: stderr.toString(), status, ...(signal ? { signal } : {}) };
};

// The line whose last word this is, without what stands before a bar: the shell's prompt.
const lineUntil = (channel, end) =>
  new Promise((resolve, reject) => {
    let shown = '';
    const take = (piece) => {
      shown += piece;
      if (!shown.includes(`${end}\r\n`)) return;
      channel.off('data', take);
      resolve(shown.split(`${end}\r\n`)[0].split('|').at(-1).trim());
    };
    channel.on('data', take);
    channel.once('close', () => reject(new Error(`${end} does not come after ${shown}`)));
  });

const terminal = async (client) => {
  const window = { term: 'xterm-256color', cols: 97, rows: 31 };
  const channel = await promisify(client.shell).call(client, window);
  const exit = once(channel, 'exit');
  const answer = (keys, end) => {
    const line = lineUntil(channel, end);
    channel.write(keys);
    return line;
  };
  await answer("stty -echo; echo rea''dy\n", 'ready');
  report.terminal = await answer('echo "|$TERM $(stty size) e""nd"\n', 'end');
  channel.setWindow(41, 101, 0, 0);
  const size = await answer('echo "|$(stty size) e""nd"\n', 'end');
  channel.end('exit 5\n');
  report.resize = `${size}, status ${(await exit)[0]}`;
};

const files = async (client) => {
  const sftp = await promisify(client.sftp).call(client);
  // OpenSSH has the two paths of SYMLINK the other way round, and the library goes by what a server calls itself.
  sftp._isOpenSSH = true;
  const call = (name, ...values) => promisify(sftp[name]).call(sftp, ...values);
  await call('mkdir', folder);
  await call('writeFile', `${folder}/a`, 'first\n');
  await call('appendFile', `${folder}/a`, 'second\n');
  await call('chmod', `${folder}/a`, 0o640);
  await call('rename', `${folder}/a`, `${folder}/b`);
  await call('symlink', 'b', `${folder}/link`);
  const status = await call('stat', `${folder}/b`);
  report.sftp = {
    content: (await call('readFile', `${folder}/link`)).toString(),
    size: status.size,
    mode: (status.mode & 0o7777).toString(8),
    names: (await call('readdir', folder)).map((entry) => entry.filename).sort(),
    link: await call('readlink', `${folder}/link`),
  };
  await call('writeFile', `${folder}/large`, LARGE);
  report.sftp_large = crypto.createHash('sha256').update(await call('readFile', `${folder}/large`)).digest('hex');
  for (const name of ['link', 'b', 'large']) await call('unlink', `${folder}/${name}`);
  await call('rmdir', folder);
  report.sftp_failure = await call('readFile', `${folder}/none`).then(() => 'none', (error) => error.message);
  sftp.end();
};

const forward = async (client) => {
  const channel = await promisify(client.forwardOut).call(client, '127.0.0.1', 1, '127.0.0.1', echo);
  channel.end('there and back');
  return (await all(channel)).toString();
};

// The server listens, a program there connects, and this end answers.
const remoteForward = async (client) => {
  client.once('tcp connection', (_details, accept) => {
    const channel = accept();
    channel.once('data', (piece) => channel.end(`from ${piece}`));
  });
  const port = await promisify(client.forwardIn).call(client, '127.0.0.1', 0);
  const connection = net.connect(port, '127.0.0.1');
  connection.write('afar');
  const back = (await all(connection)).toString();
  await promisify(client.unforwardIn).call(client, '127.0.0.1', port);
  return back;
};

// A peer that does not answer is not waited for longer than that.
setTimeout(() => { throw new Error('the time is over'); }, LIMIT).unref();
const client = await connected();
report.exec = await outcome(client, 'echo out; echo err >&2; exit 3');
report.exec_signal = await outcome(client, 'kill -TERM $$');
report.stdin = await outcome(client, 'sha256sum', LARGE);
report.environment = await outcome(client, 'echo "${SLUICE_PROBE-unset}"', '', { env: { SLUICE_PROBE: 'set' } });
const numbers = [...Array(20).keys()];
report.parallel = await Promise.all(numbers.map((n) => outcome(client, `cat; echo ${n}; exit ${n}`, 'in ')));
await terminal(client);
await files(client);
report.forward = await forward(client);
report.remote_forward = await remoteForward(client);
client.end();
console.log(JSON.stringify(report));
