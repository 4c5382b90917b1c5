// Drizzle over node-postgres.

import { TransactionRollbackError, eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { bigint, numeric, pgTable, text, timestamp } from 'drizzle-orm/pg-core';
import pg from 'pg';
import { COUNT_REFUNDS, denied, failure, options, report, version } from './common.mjs';

const customers = pgTable('customers', {
  id: bigint({ mode: 'number' }).primaryKey(),
  name: text(),
  email: text(),
  ssn: text(),
});
const cards = pgTable('cards', { id: bigint({ mode: 'number' }).primaryKey(), customerId: bigint('customer_id', { mode: 'number' }), number: text() });
const refunds = pgTable('refunds', {
  id: bigint({ mode: 'number' }).primaryKey().generatedByDefaultAsIdentity(),
  paymentId: bigint('payment_id', { mode: 'number' }),
  amount: numeric({ precision: 12, scale: 2 }),
  reason: text(),
  createdAt: timestamp('created_at', { withTimezone: true }).defaultNow(),
});

const pool = new pg.Pool({ ...options, max: 1 });
const db = drizzle(pool);
const outcome = (query) => query.then((value) => value, failure);
const left = () => outcome(db.execute(sql.raw(COUNT_REFUNDS)).then((result) => result.rows));

report.add('about', { driver: `Drizzle ${version('drizzle-orm')}`, pool: `pg-pool ${version('pg-pool')}` });
const simple = [];
for (let run = 0; run < 3; run++) simple.push(await outcome(db.select().from(customers).where(eq(customers.id, 1))));
report.add('simple', simple);
report.add('simple_join', await outcome(
  db.select({ name: customers.name, number: cards.number }).from(customers)
    .innerJoin(cards, eq(cards.customerId, customers.id)).where(eq(customers.id, 1)).orderBy(cards.id)));
const prepared = db.select({ id: customers.id, email: customers.email, ssn: customers.ssn }).from(customers)
  .where(eq(customers.id, sql.placeholder('id'))).prepare('customer');
const repeated = [];
for (let run = 0; run < 7; run++) repeated.push(await outcome(prepared.execute({ id: 1 })));
report.add('prepared', repeated);
const refund = { paymentId: 1, amount: '1.50', reason: 'driver test' };
const seen = {};
const undone = await outcome(db.transaction(async (tx) => {
  seen.added = await tx.insert(refunds).values(refund).returning({ amount: refunds.amount, reason: refunds.reason });
  seen.rows = (await tx.execute(sql.raw(COUNT_REFUNDS))).rows;
  tx.rollback();
}).catch((error) => error instanceof TransactionRollbackError ? 'undone' : Promise.reject(error)));
report.add('transaction', { ...seen, undone });
for (const [name, failing] of [['error', 'SELECT 1 / 0'], ['denied', denied]]) {
  report.add(`transaction_${name}`, await outcome(db.transaction(async (tx) => {
    await tx.insert(refunds).values(refund);
    await tx.execute(sql.raw(failing));
  })));
  report.add(`transaction_${name}_left`, await left());
}
const pooled = [];
for (const id of [1, 2, 3]) pooled.push(await outcome(db.select().from(cards).where(eq(cards.id, id))));
report.add('pool', pooled);
for (const scenario of ['pipeline', 'types', 'copy_out', 'copy_in', 'cursor', 'stream', 'timeout', 'cancel', 'notify']) {
  report.add(scenario, { unsupported: 'as node-postgres does it: Drizzle has no call of its own' });
}
await pool.end();
report.print();
