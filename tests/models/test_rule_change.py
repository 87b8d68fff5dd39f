"""Rows leave quarantine by themselves: when their rule is changed, a planned change of its entity alone, and when their
source is mended."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.contracts import ENTITIES
from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse
from tests.support.built_homes import new_home

if TYPE_CHECKING:
    from sqlmesh import Context

REPOSITORY = Path(__file__).parents[2]
LOADED_AT = datetime(2026, 3, 1, 3, 5)

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Callable[[], Context]]]:
    """A copy of the project, and what loads it as it stands now, on the same warehouse, state and cache."""
    from sqlmesh import Context

    directory = tmp_path / "project"
    for folder in ("models", "macros", "audits", "signals", "soda", "linter"):
        shutil.copytree(REPOSITORY / folder, directory / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("config.yaml", "external_models.yaml"):
        shutil.copy(REPOSITORY / file, directory)
    for name in ("INSIGHTMART_GATEWAY", "INSIGHTMART_CURRENCY", "INSIGHTMART_TIMEZONE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("INSIGHTMART_HOME", str(new_home(tmp_path_factory, tmp_path / "home")))
    monkeypatch.setenv("INSIGHTMART_START", "2026-02-28")
    opened: list[Context] = []

    def load() -> Context:
        while opened:
            opened.pop().close()
        opened.append(Context(paths=str(directory)))
        return opened[-1]

    yield directory, load
    for context in opened:
        context.close()


def test_a_changed_rule_changes_its_entity_alone_and_moves_rows_as_a_mended_source_does(
    copy: tuple[Path, Callable[[], Context]],
) -> None:
    directory, load = copy
    first = load()
    warehouse = Warehouse(first.engine_adapter.connection.cursor(), "duckdb")
    create_tables(warehouse)
    _orders(warehouse, {1: {}, 2: {"shipping_amount": Decimal(-1)}, 3: {"shipping_amount": Decimal("900.01")}})
    first.plan(auto_apply=True, no_prompts=True, skip_tests=True, execution_time=LOADED_AT)
    assert _where(warehouse) == {"certified": ["1", "3"], "quarantined": [("2", "amount_negative")]}

    rules = directory / "models" / "staging" / "rules.yml"
    text = rules.read_text(encoding="utf-8")
    changed = text.replace("OR shipping_amount < 0", "OR shipping_amount > 900", 1)
    rules.write_text(changed, encoding="utf-8")
    second = load()
    plan = second.plan_builder(skip_tests=True, execution_time=LOADED_AT).build()
    assert _names(plan.directly_modified) == {"staging._oltp_order_headers", "ops.rules"}
    modified = _names({s.snapshot_id for s in plan.snapshots.values() if s.snapshot_id in plan.modified_snapshots})
    assert "core.dim_stores" in modified  # orders that break no rule say which stores are inferred
    unaffected = {
        "staging._shopify_orders",
        "staging._oltp_customers",
        "staging._stores_inventory",
        "core.dim_stores__reference",
        "core.dim_products",
        "core.fct_orders__shopify",
        "core.fct_inventory__stores",
        "certified.fct_order_lines__shopify",
        "certified.fct_inventory__stores",
    }
    assert modified & unaffected == set()

    second.apply(plan)
    warehouse = Warehouse(second.engine_adapter.connection.cursor(), "duckdb")
    assert _where(warehouse) == {"certified": ["1", "2"], "quarantined": [("3", "amount_negative")]}
    # The source mends the order; its hour is restated, as a correction is.
    _orders(warehouse, {3: {"shipping_amount": Decimal(9), "_dlt_load_id": "1002.5", "updated_at": LOADED_AT}})
    hour: dict[str, Any] = {"start": datetime(2026, 3, 1, 1), "end": datetime(2026, 3, 1, 2)}
    plain: dict[str, Any] = {"auto_apply": True, "no_prompts": True, "skip_tests": True, "execution_time": LOADED_AT}
    second.plan(restate_models=["staging._oltp_order_headers"], **hour, **plain)
    assert _where(warehouse) == {"certified": ["1", "2", "3"], "quarantined": []}

    described = "SELECT condition FROM ops.rules WHERE entity = 'oltp_orders' AND rule_id = 'amount_negative'"
    assert warehouse.rows(described)[0][0].endswith("OR shipping_amount > 900")


def _orders(warehouse: Warehouse, orders: dict[int, dict[str, Any]]) -> None:
    """Load these orders, each with a line, and move every watermark to the load."""
    at, load = datetime(2026, 3, 1, 1, 10), {"_loaded_at": LOADED_AT, "_dlt_load_id": "1001.5"}
    order = {"store_id": 12, "channel": "store", "status": "paid", "currency": "USD", "ordered_at": at}
    line = {"line_number": 1, "sku": "A-1", "quantity": 1, "unit_price": Decimal(5)}
    for number, stated in orders.items():
        key = {"order_id": number, "updated_at": at, **load}
        warehouse.insert("raw.oltp_orders", [{**order, **key, **stated}])
        warehouse.insert("raw.oltp_order_lines", [{**line, **key}])
    covered = [item for item in ENTITIES if item.watermarked]
    warehouse.insert(
        "ops.source_watermarks",
        [{"source": item.source, "entity": item.name, "covered_through": LOADED_AT} for item in covered],
    )


def _where(warehouse: Warehouse) -> dict[str, list[Any]]:
    """Which orders are certified, with their lines, and which are in quarantine."""
    return {
        "certified": [
            number
            for (number,) in warehouse.rows(
                "SELECT order_id FROM certified.fct_orders JOIN certified.fct_order_lines USING (order_id) ORDER BY 1"
            )
        ],
        "quarantined": warehouse.rows("SELECT order_id, reasons FROM quarantine.oltp_orders ORDER BY 1"),
    }


def _names(snapshots: Any) -> set[str]:
    return {".".join(part.strip('"') for part in s.name.split(".")[-2:]).lower() for s in snapshots}
