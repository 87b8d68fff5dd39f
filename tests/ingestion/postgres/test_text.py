"""A database that knows no encoding (SQL_ASCII): one text in another one stops neither its table nor a comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ingestion.loading.context import IngestContext
from ingestion.postgres.source import OltpSource, ingest
from insightmart.settings import PROJECT

At = Callable[[str], IngestContext]
DDL = Path(PROJECT, "sandbox", "servers", "ddl.sql")


@pytest.fixture
def ascii_source(oltp_dsns: tuple[str, str]) -> Iterator[OltpSource]:
    """A database of its own, in which one refund has a reason, and one product a SKU, in Latin-1."""
    admin_dsn, _ = oltp_dsns
    dsn = make_conninfo(admin_dsn, dbname="shop_ascii")
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute(
            "CREATE DATABASE shop_ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'"
        )
        try:
            with psycopg.connect(dsn, autocommit=True, client_encoding="SQL_ASCII") as owner:
                owner.execute(DDL.read_bytes().partition(b"-- The pipeline's role")[0])
                for number, reason in ((1, b"D\\351fectueux"), (2, b"D\\303\\251fectueux"), (3, b"worn")):
                    owner.execute(
                        b"INSERT INTO refunds (refund_id, order_id, amount, reason, refunded_at, updated_at)"
                        b" VALUES (%d, 1, 10, E'%b', '2026-03-05 02:10Z', '2026-03-05 02:10Z')" % (number, reason)
                    )
                owner.execute(
                    "INSERT INTO products (sku, list_price, updated_at) VALUES"
                    " (E'P-\\351', 1, '2026-03-05 02:10Z'), ('P-2', 2, '2026-03-05 02:10Z')"
                )
            yield OltpSource(dsn, attempts=1)
        finally:
            admin.execute("DROP DATABASE shop_ascii WITH (FORCE)")


def test_the_row_waits_with_its_key_and_the_others_are_loaded(at: At, ascii_source: OltpSource) -> None:
    for instant in ("2026-03-05T10:00", "2026-03-06T10:00", "2026-03-07T10:00"):  # the days are compared, too
        context = at(instant)
        ingest(context, ascii_source, entities=["refunds", "products"])
    rows = context.warehouse.rows
    assert rows("SELECT refund_id, reason FROM raw.oltp_refunds ORDER BY 1") == [(2, "Défectueux"), (3, "worn")]
    assert rows("SELECT sku FROM raw.oltp_products") == [("P-2",)]
    waiting = "SELECT entity, column_name, rule_id, reason, raw_text FROM raw.rejects ORDER BY entity DESC"
    refund, product = rows(waiting)
    assert refund[:4] == ("refunds", "reason", "text_undecodable", r"reason b'D\xe9fectueux' is not text in UTF-8")
    assert refund[4].startswith('"1","1",')
    assert product[:3] == ("products", "sku", "text_undecodable")
