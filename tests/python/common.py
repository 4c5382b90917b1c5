"""What the driver scripts share: connection parameters, and a report that is printed as JSON.

A script runs its scenarios one after the other against one server (Sluice, or PostgreSQL itself to compare with) and
prints one JSON object: {"scenario": result}. A database error is a result too: {"sqlstate": ..., "message": ...}.
Any other exception ends the script with a traceback and status 1. This holds for the programs of every language.

"about" says which driver and which pool it is. The scenarios that every program has, or reports as {"unsupported":
"why"}, are in crates/testkit/src/drivers.rs; what a name begins with says which one it belongs to. "prepared" is the
same statement with the same value seven times: pgjdbc prepares at the server from the fifth on.
"""

import dataclasses
import datetime
import json
import os
import ssl

# Statements that a caller without special rights may run, in the demo's database.
READ_CUSTOMERS = "SELECT id, name, email, ssn, created_at FROM customers WHERE id <= 3 ORDER BY id"
READ_CARDS = "SELECT id, number, cvv, expires FROM cards WHERE id <= 3 ORDER BY id"
ADD_REFUND = "INSERT INTO refunds (payment_id, amount, reason) VALUES (1, 1.50, 'driver test')"
READ_CUSTOMER = "SELECT id, email, ssn FROM customers WHERE id = "
SERIES = "SELECT g FROM generate_series(1, 1000000) AS g"
ENDLESS = "SELECT count(*) FROM generate_series(1, 10000000000)"
COUNT_REFUNDS = "SELECT count(*) FROM refunds WHERE reason = 'driver test'"


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Where to connect: SLUICE_HOST, SLUICE_PORT, SLUICE_USER, SLUICE_TOKEN (the password), SLUICE_DATABASE, SLUICE_CA
    (the file of the server's authority) and SLUICE_DENIED (a statement that is refused)."""

    host: str
    port: int
    user: str
    token: str
    database: str
    ca: str
    denied: str


def parameters():
    """Reads them from the environment; a missing one is named."""
    denied = os.environ.get("SLUICE_DENIED", "DELETE FROM refunds WHERE id = 1")
    try:
        return Parameters(
            host=os.environ["SLUICE_HOST"],
            port=int(os.environ["SLUICE_PORT"]),
            user=os.environ["SLUICE_USER"],
            token=os.environ["SLUICE_TOKEN"],
            database=os.environ["SLUICE_DATABASE"],
            ca=os.environ["SLUICE_CA"],
            denied=denied,
        )
    except KeyError as missing:
        raise SystemExit(f"the environment variable {missing} is missing") from None


def verified_tls(ca):
    """A TLS context that trusts this authority alone and checks the server's name."""
    return ssl.create_default_context(cafile=ca)


class Report:
    """Results by scenario, in order."""

    def __init__(self):
        self.results = {}

    def add(self, scenario, result):
        if scenario in self.results:
            raise ValueError(f"{scenario} was reported before")
        self.results[scenario] = plain(result)

    def print(self):
        print(json.dumps(self.results, indent=2))


def unsupported(report, why, *scenarios):
    for scenario in scenarios:
        report.add(scenario, {"unsupported": why})


def error(sqlstate, message):
    """A database error as a result."""
    return {"sqlstate": sqlstate, "message": message}


def plain(value):
    """A value as JSON has it, the same for every driver."""
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(member) for member in value]
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
