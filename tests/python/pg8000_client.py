"""pg8000: pure Python, the extended protocol for parameters, prepared statements, COPY both ways, errors and denials."""

import datetime
import decimal
import io
import uuid

import pg8000
import pg8000.native

from common import (
    ADD_REFUND, COUNT_REFUNDS, ENDLESS, READ_CARDS, READ_CUSTOMER, READ_CUSTOMERS, SERIES, Report, error, parameters,
    unsupported, verified_tls,
)

TYPES = (
    "SELECT :a::int2, :b::int8, :c::float8, :d::numeric, :e::bool, :f::text, :g::bytea, :h::date, :i::timestamptz, "
    ":j::uuid, :k::jsonb, :l::int4[], NULL::text, int4range(1, 5)::text, ROW(1, 'x'::text)"
)


def outcome(connection, statement, **values):
    """The rows of a statement, or its error."""
    try:
        return connection.run(statement, **values)
    except pg8000.exceptions.DatabaseError as failed:
        return error(failed.args[0]["C"], failed.args[0]["M"])


def connect(given):
    return pg8000.native.Connection(
        given.user, host=given.host, port=given.port, database=given.database, password=given.token,
        ssl_context=verified_tls(given.ca), application_name="pg8000",
    )


def reads(report, connection):
    report.add("simple", [outcome(connection, READ_CARDS) for _ in range(3)])
    report.add("simple_customers", outcome(connection, READ_CUSTOMERS))
    report.add("simple_with_parameters", [outcome(connection, READ_CUSTOMER + ":id", id=number) for number in (1, 2, 3)])
    prepared = connection.prepare(READ_CUSTOMER + ":id")
    report.add("prepared", [prepared.run(id=1) for _ in range(7)])
    prepared.close()
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.timezone.utc)
    values = dict(
        a=1, b=3, c=1.5, d=decimal.Decimal("12.340"), e=True, f="text é", g=b"\x00\xff", h=moment.date(), i=moment,
        j=uuid.UUID(int=7), k='{"a": [1, null]}', l=[1, 2, 3],
    )
    report.add("types", outcome(connection, TYPES, **values))


def copy(report, connection):
    out = io.BytesIO()
    statement = "COPY (SELECT id, number, cvv FROM cards WHERE id <= 3 ORDER BY id) TO STDOUT"
    try:
        connection.run(statement, stream=out)
        report.add("copy_out", out.getvalue().decode())
    except pg8000.exceptions.DatabaseError as failed:
        report.add("copy_out", error(failed.args[0]["C"], failed.args[0]["M"]))
    connection.run("BEGIN")
    try:
        lines = io.BytesIO(b"1\t2.50\tdriver test\n1\t3.50\tdriver test\n")
        connection.run("COPY refunds (payment_id, amount, reason) FROM STDIN", stream=lines)
        report.add("copy_in", outcome(connection, COUNT_REFUNDS))
    except pg8000.exceptions.DatabaseError as failed:
        report.add("copy_in", error(failed.args[0]["C"], failed.args[0]["M"]))
    connection.run("ROLLBACK")


def transactions(report, connection, given):
    for name, failing in (("error", "SELECT 1 / 0"), ("denied", given.denied)):
        connection.run("BEGIN")
        report.add(f"transaction_{name}_insert", outcome(connection, ADD_REFUND))
        report.add(f"transaction_{name}", outcome(connection, failing))
        report.add(f"transaction_{name}_then", outcome(connection, "SELECT 1"))
        connection.run("ROLLBACK")
        report.add(f"transaction_{name}_left", outcome(connection, COUNT_REFUNDS))


def notifications(report, connection):
    listening = outcome(connection, "LISTEN driver_tests")
    if isinstance(listening, dict):
        report.add("notify", listening)
        return
    connection.run("NOTIFY driver_tests, 'a word'")
    # They are read with the answer to a statement.
    connection.run("SELECT 1")
    report.add("notify", [list(heard[1:]) for heard in connection.notifications])
    connection.run("UNLISTEN driver_tests")


def main():
    given = parameters()
    report = Report()
    connection = connect(given)
    report.add("about", {"driver": f"pg8000 {pg8000.__version__}", "pool": "none"})
    reads(report, connection)
    copy(report, connection)
    connection.run("SET statement_timeout = '100ms'")
    report.add("timeout", outcome(connection, ENDLESS))
    connection.run("RESET statement_timeout")
    # All of the rows are held; pg8000 reads an answer whole.
    report.add("stream", sum(row[0] for row in connection.run(SERIES)))
    notifications(report, connection)
    transactions(report, connection, given)
    unsupported(report, "pg8000 has no call for it", "pipeline", "cursor", "cancel", "pool")
    connection.close()
    report.print()


if __name__ == "__main__":
    main()
