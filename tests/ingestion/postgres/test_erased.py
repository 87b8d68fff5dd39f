"""Customers who were erased: the database goes on sending what it has of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ingestion.loading.context import IngestContext
from ingestion.postgres.source import ingest
from ingestion.warehouse import Warehouse

STORED = "SELECT email, last_name, phone, country FROM raw.oltp_customers WHERE customer_id = 7 ORDER BY updated_at"


def test_no_load_brings_an_erased_customer_back(
    at: Callable[[str], IngestContext], oltp: Any, warehouse: Warehouse
) -> None:
    person = {"email": "ada@needle.example", "last_name": "Lovelace", "phone": "0123456789", "country": "GB"}
    for key in (7, 8):
        oltp.add("customers", customer_id=key, updated_at="2026-03-05T08:00Z", created_at="2026-03-05T08:00Z", **person)
    ingest(at("2026-03-05T10:00"), oltp.source, entities=["customers"])
    assert warehouse.rows(STORED) == [("ada@needle.example", "Lovelace", "0123456789", "GB")]
    warehouse.execute(
        "UPDATE raw.oltp_customers SET email = NULL, last_name = NULL, phone = NULL WHERE customer_id = 7"
    )
    warehouse.insert("ops.erasures", [{"source": "oltp", "customer_id": 7, "status": "done"}])
    # the day is compared with the source: it holds what it held, so that nothing is loaded again
    results = ingest(at("2026-03-06T10:00"), oltp.source, entities=["customers"])
    assert [result.rows for result in results] == [0]
    assert warehouse.rows("SELECT status FROM ops.source_comparisons WHERE day = DATE '2026-03-05'") == [("equal",)]
    oltp.execute("UPDATE customers SET phone = '9876543210', updated_at = '2026-03-06T12:00Z'")
    ingest(at("2026-03-07T10:00"), oltp.source, entities=["customers"])
    assert warehouse.rows(STORED) == [(None, None, None, "GB")] * 2
    assert warehouse.value("SELECT COUNT(*) FROM raw.oltp_customers WHERE phone = '9876543210'") == 1
