// What the driver programs of Node share: where to connect, the statements, and the report.
//
// A program runs its scenarios and prints one JSON object, as tests/python/common.py says. A scenario that a driver does
// not offer is {"unsupported": "why"}.

import fs from 'node:fs';

const required = (name) => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`the environment variable ${name} is missing`);
  return value;
};

export const denied = required('SLUICE_DENIED');

export const options = {
  host: required('SLUICE_HOST'),
  port: Number(required('SLUICE_PORT')),
  user: required('SLUICE_USER'),
  password: required('SLUICE_TOKEN'),
  database: required('SLUICE_DATABASE'),
  ssl: { ca: fs.readFileSync(required('SLUICE_CA')) },
};

export const CARDS = 'SELECT id, number, cvv, expires::text FROM cards WHERE id <= 3 ORDER BY id';
export const CUSTOMER = 'SELECT id, email, ssn FROM customers WHERE id = $1';
export const ADD_REFUND = "INSERT INTO refunds (payment_id, amount, reason) VALUES (1, 1.50, 'driver test')";
export const COUNT_REFUNDS = "SELECT count(*)::int AS count FROM refunds WHERE reason = 'driver test'";
export const SERIES = 'SELECT g FROM generate_series(1, 1000000) AS g';
export const ENDLESS = 'SELECT count(*) FROM generate_series(1, 10000000000)';
// Each value as its type is written, and as a parameter.
export const TYPES =
  "SELECT $1::numeric AS a, $2::timestamptz AS b, $3::uuid AS c, $4::jsonb AS d, $5::int4[] AS e, $6::int4range AS f, " +
  "$7::bytea AS g, ROW(1, 'x') AS h, $8::text[] AS i, $9::float8 AS j, $10::bool AS k, $11::date::text AS l, NULL::text AS m";
export const VALUES = [
  '12.340', '2026-01-02T03:04:05.678Z', '00000000-0000-0000-0000-000000000007', '{"a": [1, null]}', [1, 2, 3], '[1,5)',
  Buffer.from([0, 255]), ['a,"', null], 0.1, true, '2024-02-29',
];

export const failure = (error) => {
  if (error?.cause?.code) return failure(error.cause);
  if (!error?.code) throw error;
  return { sqlstate: error.code, message: error.message };
};

export const plain = (value) => {
  if (Buffer.isBuffer(value)) return value.toString('hex');
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  return typeof value === 'bigint' ? value.toString() : value;
};

// It is run in the folder that has the modules.
export const version = (name) => JSON.parse(fs.readFileSync(`node_modules/${name}/package.json`)).version;

export const report = {
  results: {},
  add(scenario, result) {
    if (scenario in this.results) throw new Error(`${scenario} was reported before`);
    this.results[scenario] = plain(result);
  },
  print() {
    console.log(JSON.stringify(this.results));
  },
};
