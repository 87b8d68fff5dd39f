"""The statements of retention and erasure on Snowflake, through the real connector."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ingestion.ops_tables import create_tables
from insightmart.erasure.customer import Customer
from insightmart.erasure.erase import begin, erased_at, finish_begun, look
from insightmart.gateway import open_warehouse
from insightmart.ledger.recording import note
from insightmart.retention.purge import apply, survey
from insightmart.settings import Settings, load_settings
from tests.support.built_warehouse import raw_rows
from tests.support.snowflake_account import ACCOUNT

pytestmark = pytest.mark.slow

NOW = datetime(2028, 3, 8, 0, 5)


def test_rows_go_and_a_customer_is_forgotten(
    settings: Settings, fake_account: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    with fake_account(tmp_path / "stages"), open_warehouse(load_settings()) as warehouse:
        create_tables(warehouse)
        for name in ("oltp_orders", "oltp_order_lines", "oltp_refunds", "shopify_orders", "stores_inventory"):
            warehouse.insert(f"raw.{name}", raw_rows()[name])
        person = {"customer_id": 1, "email": "ada@needle.example", "country": "GB", "_dlt_load_id": "1"}
        person |= {"updated_at": datetime(2026, 3, 1), "_loaded_at": datetime(2026, 3, 1)}
        moved = person | {
            "email": "ada@new.example",
            "updated_at": datetime(2026, 3, 2),
            "_loaded_at": datetime(2026, 3, 2),
        }
        warehouse.insert("raw.oltp_customers", [person, moved])
        note(warehouse, settings, "so that there is a ledger")
        found = survey(warehouse, settings, NOW)
        said = {line.table: line.rows for line in found.lines if line.rows}
        assert said["raw.oltp_orders"] > 0
        assert apply(warehouse, settings, found, NOW, "run", "ada", lambda _: None) == said
        assert warehouse.value("SELECT COUNT(*) FROM raw.stores_inventory WHERE counted_at < '2026-03-06'") == 0
        assert warehouse.rows("SELECT email FROM raw.oltp_customers ORDER BY updated_at") == [
            (None,),
            ("ada@new.example",),
        ]
        customer = Customer("oltp", 1)
        assert look(warehouse, settings, customer).counts["raw.oltp_customers"] == 1
        begin(warehouse, customer, "ticket", "ada", "run", NOW)
        finish_begun(warehouse, settings)
        assert look(warehouse, settings, customer).is_empty
        assert erased_at(warehouse, customer) is not None
        assert warehouse.value("SELECT COUNT(*) FROM raw.oltp_customers WHERE country = 'GB'") == 2
