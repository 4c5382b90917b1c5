"""SQLAlchemy with psycopg: its dialect's start-up and pool, reflection, the ORM, streaming, errors and denials."""

import datetime
import decimal
from typing import List, Optional

import sqlalchemy
from sqlalchemy import ForeignKey, MetaData, create_engine, func, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from common import COUNT_REFUNDS, ENDLESS, READ_CUSTOMER, SERIES, Report, error, parameters, unsupported


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    ssn: Mapped[str]
    phone: Mapped[Optional[str]]
    created_at: Mapped[datetime.datetime] = mapped_column(sqlalchemy.DateTime(timezone=True), server_default=func.now())
    cards: Mapped[List["Card"]] = relationship(back_populates="customer", order_by="Card.id")


class Card(Base):
    __tablename__ = "cards"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    number: Mapped[str]
    cvv: Mapped[str]
    expires: Mapped[datetime.date]
    customer: Mapped[Customer] = relationship(back_populates="cards")


class Refund(Base):
    __tablename__ = "refunds"
    id: Mapped[int] = mapped_column(primary_key=True)
    payment_id: Mapped[int]
    amount: Mapped[decimal.Decimal]
    reason: Mapped[Optional[str]]


def failure(failed):
    return error(failed.orig.sqlstate, failed.orig.diag.message_primary)


def customer_row(customer):
    cards = [[card.id, card.number, card.cvv, card.expires] for card in customer.cards]
    return [customer.id, customer.name, customer.email, customer.ssn, customer.phone, cards]


def reads(report, engine):
    found = []
    for number in (1, 2, 3):
        # A session for each: the pool gives the same connection again, after its reset.
        with Session(engine) as session:
            statement = select(Customer).options(selectinload(Customer.cards)).where(Customer.id == number)
            found.append([customer_row(customer) for customer in session.scalars(statement)])
    report.add("simple", found)
    with Session(engine) as session:
        joined = select(Customer.name, Card.number).join(Card).where(Customer.id <= 3).order_by(Customer.id, Card.id)
        report.add("join", [list(row) for row in session.execute(joined)])
        one = text(READ_CUSTOMER + ":id")
        report.add("prepared", [[list(row) for row in session.execute(one, {"id": 1})] for _ in range(7)])
        series = session.execute(text(SERIES).execution_options(yield_per=5000))
        report.add("stream", sum(row[0] for row in series))
        streamed = select(Card.id, Card.number).order_by(Card.id).limit(5).execution_options(yield_per=2)
        report.add("cursor", [list(row) for row in session.execute(streamed)])


def reflection(report, engine):
    metadata = MetaData()
    try:
        metadata.reflect(engine, only=["customers", "cards"])
        tables = {table.name: [column.name for column in table.columns] for table in metadata.sorted_tables}
        report.add("reflection", tables)
    except DBAPIError as failed:
        report.add("reflection", failure(failed))


def writes(report, engine, given):
    with Session(engine) as session:
        refund = Refund(payment_id=1, amount=decimal.Decimal("1.50"), reason="driver test")
        session.add(refund)
        session.flush()
        report.add("insert_returns_id", refund.id is not None)
        refund.reason = "driver test, changed"
        session.flush()
        session.rollback()
    for name, failing in (("error", "SELECT 1 / 0"), ("denied", given.denied)):
        with Session(engine) as session:
            session.add(Refund(payment_id=1, amount=decimal.Decimal("1.50"), reason="driver test"))
            session.flush()
            try:
                session.execute(text(failing))
                report.add(f"transaction_{name}", "no error")
            except DBAPIError as failed:
                report.add(f"transaction_{name}", failure(failed))
            session.rollback()
            report.add(f"transaction_{name}_left", session.execute(text(COUNT_REFUNDS)).scalar())


def full_row_update(report, engine):
    """Reads a customer and writes the whole row back, as some mappers do: a mask must not become data."""
    with Session(engine) as session:
        customer = session.get(Customer, 1)
        values = {"name": customer.name, "email": customer.email, "ssn": customer.ssn, "phone": customer.phone}
        try:
            session.execute(sqlalchemy.update(Customer).where(Customer.id == 1).values(**values))
            report.add("full_row_update", "written")
        except DBAPIError as failed:
            report.add("full_row_update", failure(failed))
        session.rollback()


def stops(report, engine):
    with engine.connect() as connection:
        connection.execute(text("SET statement_timeout = '100ms'"))
        try:
            report.add("timeout", connection.execute(text(ENDLESS)).scalar())
        except DBAPIError as failed:
            report.add("timeout", failure(failed))
        connection.rollback()


def pool(report, engine):
    before = engine.pool.checkedin()
    with engine.connect() as one, engine.connect() as two:
        report.add("pool", [connection.execute(text("SELECT 1")).scalar() for connection in (one, two)])
    report.add("pool_kept", engine.pool.checkedin() - before <= 1)


def main():
    given = parameters()
    url = URL.create(
        "postgresql+psycopg",
        username=given.user,
        password=given.token,
        host=given.host,
        port=given.port,
        database=given.database,
        query={"sslmode": "verify-full", "sslrootcert": given.ca, "application_name": "sqlalchemy"},
    )
    engine = create_engine(url, pool_size=2, max_overflow=0, pool_pre_ping=True)
    report = Report()
    report.add("about", {"driver": f"SQLAlchemy {sqlalchemy.__version__} with psycopg", "pool": "QueuePool"})
    reads(report, engine)
    reflection(report, engine)
    writes(report, engine, given)
    full_row_update(report, engine)
    stops(report, engine)
    pool(report, engine)
    unsupported(report, "as psycopg does it: SQLAlchemy has no call of its own", "pipeline", "types", "copy_out", "copy_in",
                "cancel", "notify")
    engine.dispose()
    report.print()


if __name__ == "__main__":
    main()
