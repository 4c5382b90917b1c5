"""asyncpg: everything in binary, statements prepared and cached, its pool with its reset, COPY both ways, cursors,
errors and denials."""

import asyncio
import datetime
import decimal
import io
import json
import uuid

import asyncpg

from common import (
    ADD_REFUND, COUNT_REFUNDS, ENDLESS, READ_CARDS, READ_CUSTOMER, READ_CUSTOMERS, SERIES, Report, error, parameters,
    unsupported, verified_tls,
)

TYPES = (
    "SELECT $1::int2, $2::int4, $3::int8, $4::float8, $5::numeric, $6::bool, $7::text, $8::bytea, $9::date, "
    "$10::timestamptz, $11::uuid, $12::jsonb, $13::int4[], NULL::text, int4range(1, 5)::text, ROW(1, 'x'::text)"
)


def rows(records):
    return [list(record.values()) for record in records]


async def outcome(connection, statement, *values):
    """The rows of a statement, or its error."""
    try:
        return rows(await connection.fetch(statement, *values))
    except asyncpg.PostgresError as failed:
        return error(failed.sqlstate, failed.message)


async def executed(connection, statement):
    """The status of a statement in the simple protocol, or its error."""
    try:
        return await connection.execute(statement)
    except asyncpg.PostgresError as failed:
        return error(failed.sqlstate, failed.message)


def connection_options(given):
    return dict(
        host=given.host,
        port=given.port,
        user=given.user,
        password=given.token,
        database=given.database,
        ssl=verified_tls(given.ca),
        server_settings={"application_name": "asyncpg"},
    )


async def reads(report, connection):
    report.add("simple_cached", [await outcome(connection, READ_CARDS) for _ in range(3)])
    report.add("customers", await outcome(connection, READ_CUSTOMERS))
    prepared = await connection.prepare(READ_CUSTOMER + "$1")
    report.add("prepared", [rows(await prepared.fetch(1)) for _ in range(7)])
    report.add("prepared_columns", [column.name for column in prepared.get_attributes()])
    report.add("simple", await executed(connection, "SELECT number FROM cards WHERE id = 1; SELECT 1"))
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.timezone.utc)
    values = (
        1, 2, 3, 1.5, decimal.Decimal("12.340"), True, "text é", b"\x00\xff", moment.date(), moment,
        uuid.UUID(int=7), json.dumps({"a": [1, None]}), [1, 2, 3],
    )
    report.add("types", await outcome(connection, TYPES, *values))


async def copy(report, connection):
    for form in ("text", "binary"):
        content = io.BytesIO()
        selected = "SELECT id, number, cvv FROM cards WHERE id <= 3 ORDER BY id"
        try:
            await connection.copy_from_query(selected, output=content, format=form)
            raw = content.getvalue()
            report.add(f"copy_out_{form}", raw if form == "binary" else raw.decode())
        except asyncpg.PostgresError as failed:
            report.add(f"copy_out_{form}", error(failed.sqlstate, failed.message))
    transaction = connection.transaction()
    await transaction.start()
    records = [(1, decimal.Decimal("2.50"), "driver test")] * 3
    columns = ["payment_id", "amount", "reason"]
    report.add("copy_in", await connection.copy_records_to_table("refunds", records=records, columns=columns))
    report.add("copy_in_rows", await outcome(connection, COUNT_REFUNDS))
    await transaction.rollback()


async def cursors(report, connection):
    async with connection.transaction():
        cursor = await connection.cursor("SELECT id, number FROM cards ORDER BY id")
        report.add("cursor", [rows(await cursor.fetch(2)), rows(await cursor.fetch(2))])
        walked = connection.cursor("SELECT id, email FROM customers WHERE id <= 5 ORDER BY id", prefetch=2)
        report.add("cursor_walk", rows([record async for record in walked]))
        total = 0
        async for record in connection.cursor(SERIES, prefetch=5000):
            total += record[0]
        report.add("stream", total)


async def stops(report, connection):
    await connection.execute("SET statement_timeout = '100ms'")
    report.add("timeout", await outcome(connection, ENDLESS))
    await connection.execute("RESET statement_timeout")
    try:
        # asyncpg sends a CancelRequest when its own time is over.
        report.add("cancel", rows(await connection.fetch(ENDLESS, timeout=0.2)))
    except asyncio.TimeoutError:
        report.add("cancel", "over")
    report.add("cancel_then", await outcome(connection, "SELECT 1"))


async def notifications(report, connection):
    heard = asyncio.get_running_loop().create_future()
    try:
        await connection.add_listener("driver_tests", lambda _c, _p, channel, payload: heard.set_result([channel, payload]))
        await connection.execute("NOTIFY driver_tests, 'a word'")
        report.add("notify", await asyncio.wait_for(heard, 10))
    except asyncpg.PostgresError as failed:
        report.add("notify", error(failed.sqlstate, failed.message))


async def errors(report, connection, given):
    report.add("error", await outcome(connection, "SELECT 1 / 0"))
    report.add("denied", await outcome(connection, given.denied))
    report.add("denied_simple", await executed(connection, given.denied))
    report.add("denied_then", await outcome(connection, "SELECT 1"))
    for name, failing in (("error", "SELECT 1 / 0"), ("denied", given.denied)):
        await connection.execute("BEGIN")
        report.add(f"transaction_{name}_insert", await executed(connection, ADD_REFUND))
        report.add(f"transaction_{name}", await executed(connection, failing))
        report.add(f"transaction_{name}_then", await outcome(connection, "SELECT 1"))
        report.add(f"transaction_{name}_commit", await executed(connection, "COMMIT"))
        report.add(f"transaction_{name}_left", await outcome(connection, COUNT_REFUNDS))
    try:
        insert = "INSERT INTO refunds (payment_id, amount, reason) VALUES ($1, $2, 'driver test')"
        # The third one fails: asyncpg sends all of them before one Sync, so that none remains.
        await connection.executemany(insert, [(1, 1), (1, 2), (-1, 3)])
        report.add("executemany", "no error")
    except asyncpg.PostgresError as failed:
        report.add("executemany", failed.sqlstate)
    report.add("executemany_left", await outcome(connection, COUNT_REFUNDS))


async def pool(report, given):
    """Three times round a pool of one: each release resets the session, with asyncpg's own reset statement."""
    results = []
    async with asyncpg.create_pool(min_size=1, max_size=1, **connection_options(given)) as one:
        for number in (1, 2, 3):
            async with one.acquire() as connection:
                results.append(await outcome(connection, "SELECT id, number FROM cards WHERE id = $1", number))
                await executed(connection, "SET statement_timeout = '5s'")
        async with one.acquire() as connection:
            report.add("pool_reset", await outcome(connection, "SHOW statement_timeout"))
    report.add("pool", results)


async def run():
    given = parameters()
    report = Report()
    connection = await asyncpg.connect(**connection_options(given))
    report.add("about", {"driver": f"asyncpg {asyncpg.__version__}", "pool": "its own"})
    unsupported(report, "asyncpg has no call for it but executemany", "pipeline")
    await reads(report, connection)
    await copy(report, connection)
    await cursors(report, connection)
    await errors(report, connection, given)
    await stops(report, connection)
    await notifications(report, connection)
    await connection.close()
    await pool(report, given)
    report.print()


if __name__ == "__main__":
    asyncio.run(run())
