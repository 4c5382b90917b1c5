"""psycopg 3: simple and extended protocol, prepared statements, binary results, pipeline mode, COPY both ways, cursors,
errors and denials."""

import importlib.metadata
import threading

import psycopg
import psycopg_pool
from psycopg.types.json import Jsonb

from common import (
    ADD_REFUND, COUNT_REFUNDS, ENDLESS, READ_CARDS, READ_CUSTOMER, READ_CUSTOMERS, SERIES, Report, error, parameters,
)

TYPES = (
    "SELECT %s::int2, %s::int4, %s::int8, %s::float8, %s::numeric, %s::bool, %s::text, %s::bytea, %s::date, "
    "%s::timestamptz, %s::uuid, %s::jsonb, %s::int4[], NULL::text, '[1,5)'::int4range, ROW(1, 'x'::text)"
)


def outcome(connection, statement, values=None, **options):
    """The rows of a statement, or its error."""
    try:
        cursor = connection.execute(statement, values, **options)
        return cursor.fetchall() if cursor.description else cursor.statusmessage
    except psycopg.Error as failed:
        return error(failed.sqlstate, failed.diag.message_primary)


def connect(given, **options):
    return psycopg.connect(
        host=given.host,
        port=given.port,
        user=given.user,
        password=given.token,
        dbname=given.database,
        sslmode="verify-full",
        sslrootcert=given.ca,
        application_name="psycopg",
        **options,
    )


def reads(report, connection):
    simple = psycopg.ClientCursor(connection)
    report.add("simple", [simple.execute(READ_CARDS).fetchall() for _ in range(3)])
    by_id = "SELECT id, email, ssn FROM customers WHERE id = %s"
    report.add("extended", [outcome(connection, by_id, (number,), prepare=False) for number in (1, 2, 3)])
    report.add("prepared", [outcome(connection, READ_CUSTOMER + "%s", (1,), prepare=True) for _ in range(7)])
    report.add("binary", outcome(connection, READ_CUSTOMERS, binary=True))
    report.add("binary_cards", [outcome(connection, READ_CARDS, binary=True, prepare=True) for _ in range(3)])
    report.add("empty_statement", connection.execute("").statusmessage)


def types(report, connection):
    import datetime
    import decimal
    import uuid

    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.timezone.utc)
    values = (
        1, 2, 3, 1.5, decimal.Decimal("12.340"), True, "text é", b"\x00\xff", moment.date(), moment,
        uuid.UUID(int=7), Jsonb({"a": [1, None]}), [1, 2, 3],
    )
    for binary in (False, True):
        report.add(f"types_{'binary' if binary else 'text'}", outcome(connection, TYPES, values, binary=binary))


def pipeline(report, connection, given):
    with connection.pipeline():
        cursors = [connection.execute("SELECT id, number FROM cards WHERE id = %s", (number,)) for number in (1, 2, 3)]
        report.add("pipeline", [cursor.fetchall() for cursor in cursors])
    try:
        with connection.pipeline() as line:
            connection.execute(ADD_REFUND)
            connection.execute(given.denied)
            connection.execute("SELECT 1")
            line.sync()
        report.add("pipeline_denied", "not denied")
    except psycopg.Error as failed:
        report.add("pipeline_denied", error(failed.sqlstate, failed.diag.message_primary))
    report.add("pipeline_denied_left", outcome(connection, COUNT_REFUNDS))


def copy(report, connection):
    for form in ("text", "csv", "binary"):
        statement = f"COPY (SELECT id, number, cvv FROM cards WHERE id <= 3 ORDER BY id) TO STDOUT (FORMAT {form})"
        try:
            with connection.cursor().copy(statement) as rows:
                content = b"".join(bytes(block) for block in rows)
            report.add(f"copy_out_{form}", content if form == "binary" else content.decode())
        except psycopg.Error as failed:
            report.add(f"copy_out_{form}", error(failed.sqlstate, failed.diag.message_primary))
    with connection.transaction(force_rollback=True):
        into = "COPY refunds (payment_id, amount, reason) FROM STDIN"
        with connection.cursor().copy(into) as rows:
            for _ in range(3):
                rows.write_row((1, "2.50", "driver test"))
        report.add("copy_in", outcome(connection, COUNT_REFUNDS))


def cursors(report, connection):
    with connection.transaction():
        with connection.cursor(name="walk") as cursor:
            cursor.execute("SELECT id, number FROM cards ORDER BY id")
            report.add("cursor", [cursor.fetchmany(2), cursor.fetchmany(2)])
        with connection.cursor() as cursor:
            rows = cursor.stream("SELECT id, email FROM customers WHERE id <= 5 ORDER BY id")
            report.add("stream_few", list(rows))
        with connection.cursor() as cursor:
            report.add("stream", sum(row[0] for row in cursor.stream(SERIES)))


def cancelled(connection):
    """The outcome of a statement that another thread cancels, however early that is tried first."""
    ended = threading.Event()

    def cancel():
        patience = 0.05
        while not ended.wait(patience):
            connection.cancel_safe()
            # Long enough for it to be heeded: one that comes after the end would cancel the next statement.
            patience = 5

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        return outcome(connection, ENDLESS)
    finally:
        ended.set()
        thread.join()


def stops(report, connection):
    connection.execute("SET statement_timeout = '100ms'")
    report.add("timeout", outcome(connection, ENDLESS))
    connection.execute("RESET statement_timeout")
    report.add("cancel", cancelled(connection))
    # One that came after the end of what it was meant for.
    for _ in range(20):
        last = outcome(connection, "SELECT 1")
    report.add("cancel_then", last)


def notifications(report, connection):
    listening = outcome(connection, "LISTEN driver_tests")
    if isinstance(listening, dict):
        report.add("notify", listening)
        return
    connection.execute("NOTIFY driver_tests, 'a word'")
    heard = next(connection.notifies(timeout=10))
    report.add("notify", [heard.channel, heard.payload])
    connection.execute("UNLISTEN driver_tests")


def pool(report, given):
    """psycopg's own pool checks a connection, and resets it when it comes back."""
    options = dict(
        host=given.host, port=given.port, user=given.user, password=given.token, dbname=given.database,
        sslmode="verify-full", sslrootcert=given.ca,
    )
    check = psycopg_pool.ConnectionPool.check_connection
    with psycopg_pool.ConnectionPool(kwargs=options, min_size=1, max_size=1, check=check) as one:
        results = []
        for number in (1, 2, 3):
            with one.connection() as connection:
                results.append(outcome(connection, READ_CUSTOMER + "%s", (number,)))
        report.add("pool", results)


def errors(report, connection, given):
    report.add("error", outcome(connection, "SELECT 1 / 0"))
    report.add("denied", outcome(connection, given.denied))
    report.add("denied_then", outcome(connection, "SELECT 1"))


def transactions(report, connection, given):
    """One connection, reused after every kind of failure inside a transaction."""
    for name, failing in (("error", "SELECT 1 / 0"), ("denied", given.denied)):
        report.add(f"transaction_{name}_insert", outcome(connection, ADD_REFUND))
        report.add(f"transaction_{name}", outcome(connection, failing))
        report.add(f"transaction_{name}_status", connection.info.transaction_status.name)
        report.add(f"transaction_{name}_then", outcome(connection, "SELECT 1"))
        report.add(f"transaction_{name}_commit", outcome(connection, "COMMIT"))
        report.add(f"transaction_{name}_left", outcome(connection, COUNT_REFUNDS))
        connection.rollback()
    with connection.transaction(force_rollback=True):
        connection.execute(ADD_REFUND)
        try:
            with connection.transaction():
                connection.execute(given.denied)
            report.add("savepoint", "not denied")
        except psycopg.Error as failed:
            report.add("savepoint", failed.sqlstate)
        report.add("savepoint_then", outcome(connection, COUNT_REFUNDS))


def main():
    given = parameters()
    report = Report()
    with connect(given, autocommit=True) as connection:
        report.add("about", {
            "driver": f"psycopg {psycopg.__version__}",
            "pool": f"psycopg_pool {importlib.metadata.version('psycopg-pool')}",
        })
        report.add("encoding", connection.info.encoding)
        reads(report, connection)
        types(report, connection)
        pipeline(report, connection, given)
        copy(report, connection)
        cursors(report, connection)
        errors(report, connection, given)
        stops(report, connection)
        notifications(report, connection)
    with connect(given) as connection:
        transactions(report, connection, given)
    pool(report, given)
    report.print()


if __name__ == "__main__":
    main()
