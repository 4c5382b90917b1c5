// node-postgres with its pool, pg-query-stream and pg-copy-streams.

import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { Readable } from 'node:stream';
import pg from 'pg';
import QueryStream from 'pg-query-stream';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import {
  ADD_REFUND, CARDS, COUNT_REFUNDS, CUSTOMER, ENDLESS, SERIES, TYPES, VALUES, denied, failure, options, report, version,
} from './common.mjs';

// Milliseconds in which a cancel has long been heeded.
const HEEDED = 5000;

const rows = (result) => result.rows;
const outcome = (client, text, values) => client.query(text, values).then(rows, failure);

const reads = async (client) => {
  const simple = [];
  for (let run = 0; run < 3; run++) simple.push(await outcome(client, CARDS));
  report.add('simple', simple);
  const extended = [];
  for (const id of [1, 2, 3]) extended.push(await outcome(client, CUSTOMER, [id]));
  report.add('simple_with_parameters', extended);
  const repeated = [];
  const named = { name: 'customer', text: CUSTOMER, values: [1] };
  for (let run = 0; run < 7; run++) repeated.push(await client.query(named).then(rows, failure));
  report.add('prepared', repeated);
  // All of them are sent before the first is answered.
  report.add('pipeline', await Promise.all([1, 2, 3].map((id) => outcome(client, { name: 'customer', text: CUSTOMER, values: [id] }))));
  report.add('types_text', await outcome(client, TYPES, VALUES));
  const binary = { text: TYPES, values: VALUES, binary: true, rowMode: 'array', types: { getTypeParser: () => (value) => value } };
  report.add('types_binary', await client.query(binary).then(rows, failure));
};

const copies = async (client) => {
  const out = client.query(copyTo('COPY (SELECT id, number, cvv FROM cards WHERE id <= 3 ORDER BY id) TO STDOUT'));
  const pieces = [];
  try {
    for await (const piece of out) pieces.push(piece);
    report.add('copy_out', Buffer.concat(pieces).toString());
  } catch (error) {
    report.add('copy_out', failure(error));
  }
  await client.query('BEGIN');
  const into = client.query(copyFrom('COPY refunds (payment_id, amount, reason) FROM STDIN'));
  try {
    await pipeline(Readable.from(["1\t2.50\tdriver test\n", "1\t2.50\tdriver", " test\n"]), into);
    report.add('copy_in', await outcome(client, COUNT_REFUNDS));
  } catch (error) {
    report.add('copy_in', failure(error));
  }
  await client.query('ROLLBACK');
};

const streams = async (client) => {
  const few = [];
  try {
    for await (const row of client.query(new QueryStream('SELECT id, number FROM cards ORDER BY id', [], { batchSize: 2 }))) {
      few.push(row);
      if (few.length === 5) break;
    }
    report.add('cursor', few);
  } catch (error) {
    report.add('cursor', failure(error));
  }
  let sum = 0;
  try {
    for await (const row of client.query(new QueryStream(SERIES, [], { batchSize: 5000, rowMode: 'array' }))) sum += Number(row[0]);
    report.add('stream', sum);
  } catch (error) {
    report.add('stream', failure(error));
  }
};

const stops = async (client) => {
  await client.query("SET statement_timeout = '100ms'");
  report.add('timeout', await outcome(client, ENDLESS));
  await client.query('RESET statement_timeout');
  // node-postgres has no call for it: a CancelRequest is a connection of its own (pg's Connection.cancel).
  let ended = false;
  const running = outcome(client, ENDLESS).finally(() => (ended = true));
  // One that comes before the statement cancels nothing; one that comes after it would cancel the next. So each gets time to
  // be heeded before another is sent.
  while (!ended) {
    const canceller = new pg.Client(options);
    canceller.connection.on('connect', () => canceller.connection.requestSsl());
    canceller.connection.on('sslconnect', () => canceller.connection.cancel(client.processID, client.secretKey));
    canceller.connection.on('error', () => {});
    const closed = once(canceller.connection, 'end');
    canceller.connection.connect(options.port, options.host);
    await closed;
    const timer = new AbortController();
    await Promise.race([running, delay(HEEDED, undefined, { signal: timer.signal }).catch(() => {})]);
    timer.abort();
  }
  report.add('cancel', await running);
  report.add('cancel_then', await outcome(client, 'SELECT 1 AS one'));
};

const notifications = async (client) => {
  try {
    await client.query('LISTEN driver_tests');
    const heard = once(client, 'notification');
    await client.query("NOTIFY driver_tests, 'a word'");
    const [{ channel, payload }] = await heard;
    report.add('notify', { channel, payload });
    await client.query('UNLISTEN driver_tests');
  } catch (error) {
    report.add('notify', failure(error));
  }
};

const transactions = async (client) => {
  for (const [name, failing] of [['error', 'SELECT 1 / 0'], ['denied', denied]]) {
    await client.query('BEGIN');
    report.add(`transaction_${name}_insert`, await client.query(ADD_REFUND).then((result) => result.rowCount, failure));
    report.add(`transaction_${name}`, await outcome(client, failing));
    report.add(`transaction_${name}_then`, await outcome(client, 'SELECT 1 AS one'));
    report.add(`transaction_${name}_commit`, await client.query('COMMIT').then((result) => result.command, failure));
    report.add(`transaction_${name}_left`, await outcome(client, COUNT_REFUNDS));
  }
};

const pool = new pg.Pool({ ...options, max: 1 });
const client = await pool.connect();
report.add('about', { driver: `node-postgres ${version('pg')}`, pool: `pg-pool ${version('pg-pool')}` });
await reads(client);
await copies(client);
await streams(client);
await stops(client);
await notifications(client);
await transactions(client);
client.release();
const pooled = [];
for (const id of [1, 2, 3]) pooled.push(await outcome(pool, CUSTOMER, [id]));
report.add('pool', pooled);
await pool.end();
report.print();
