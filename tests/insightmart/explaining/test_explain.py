"""Explanations of what the real project has built from the rows of tests/support/built_warehouse.py."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from ingestion.warehouse import Warehouse
from insightmart.errors import InsightMartError
from insightmart.explaining.figure import cells_query, explain_figures
from insightmart.explaining.node import Node
from insightmart.explaining.order import explain_order
from insightmart.explaining.store import explain_store
from tests.support.built_warehouse import LOAD
from tests.support.workshop import CommandLine

pytestmark = pytest.mark.slow


def named(node: Node, what: str) -> Node:
    """The one of this name right behind a node."""
    (found,) = [below for below in node.behind if below.what == what]
    return found


def test_every_figure_is_the_sum_of_what_it_is_explained_by(built: Warehouse) -> None:
    cells = built.records(cells_query(None))
    assert len(cells) > 5
    for start in range(0, len(cells), 20):
        for cell, node in zip(
            cells[start : start + 20], explain_figures(built, cells[start : start + 20]), strict=True
        ):
            parts = [one for one in node.behind if one.what in ("orders", "lines added by edits", "refunds")]
            assert sum(one.values["net_sales"] for one in parts) == cell["net_sales"]
            assert node.note == ""
            assert named(node, "loads").behind[0].what == f"load {LOAD}"
            assert any(one.what.startswith("gate.sales__") for one in node.behind)
            (first,) = named(node, "published").behind
            assert first.values["after"] == cell["net_sales"]


def test_a_figure_that_is_not_the_sum_of_its_parts_says_so(built: Warehouse) -> None:
    (cell, *_) = built.records(cells_query("net_sales > 0"))
    (node,) = explain_figures(built, [cell | {"net_sales": cell["net_sales"] + Decimal("0.01")}])
    assert "which is another figure" in node.note


def test_no_cell_and_too_many_are_refused(built: Warehouse) -> None:
    with pytest.raises(InsightMartError, match="no cell"):
        explain_figures(built, [])
    with pytest.raises(InsightMartError, match="at most 20"):
        explain_figures(built, built.records(cells_query(None)) * 20)


@pytest.mark.parametrize(
    ("number", "verdict", "behind"),
    [
        (1, "It counts", "certified.fct_orders"),
        (11, "It counts nowhere: it is cancelled or a test", None),
        (17, "It waits in quarantine and counts nowhere", "quarantine.oltp_orders"),  # in euros
    ],
)
def test_an_order_is_followed_from_its_versions_to_its_figure(
    built: Warehouse, number: int, verdict: str, behind: str | None
) -> None:
    node = next(one for one in explain_order(built, str(number)) if one.what == f"oltp order {number}")
    assert node.note.startswith(verdict)
    assert named(node, "raw.oltp_orders").values == {"versions": 1}
    assert named(node, "raw.oltp_orders").behind[0].values["load"] == LOAD
    assert behind is None or any(one.what == behind for one in node.behind)


@pytest.mark.parametrize("number", ["999999", "x", "-1", "1 OR 1=1", "1" * 30])
def test_an_order_that_nobody_sent_is_one_line(built: Warehouse, number: str) -> None:
    with pytest.raises(InsightMartError):
        explain_order(built, number)


def test_a_store_is_explained_by_its_sales_files_and_till(built: Warehouse) -> None:
    hour = {"store_id": 1, "file_hour": datetime(2026, 3, 5, 9), "missed_at": datetime(2026, 3, 5, 10, 5)}
    built.insert("ops.missing_files", [hour])
    file = {"source": "stores", "entity": "inventory", "store_id": 1, "file_hour": datetime(2026, 3, 5, 12)}
    odd = {"file_name": "inventory/[red]x.csv", "status": "quarantined", "reason": "gzip_truncated"}
    built.insert("ops.files", [file | odd])
    (node,) = explain_store(built, 1, date(2026, 3, 5))
    orders, net_sales = built.rows(
        "SELECT SUM(orders), SUM(net_sales) FROM certified.agg_sales_daily"
        " WHERE store_id = 1 AND business_date = DATE '2026-03-05'"
    )[0]
    assert named(node, "certified sales").values == {"orders": orders, "net_sales": net_sales}
    (missing,) = named(node, "inventory files that were not there in time").behind
    assert missing.note == "It has not come: ask the manager"
    files = named(node, "files of the date and the hours beside it")
    assert (files.values, files.behind[0].values["reason"]) == ({"files": 1}, "gzip_truncated")
    with pytest.raises(InsightMartError, match="no store 99"):
        explain_store(built, 99, date(2026, 3, 5))


def test_the_command_prints_a_tree_or_json_or_writes_a_page(
    built: Warehouse, settings: object, insightmart: CommandLine, tmp_path: Path
) -> None:
    built.connection.close()
    asked = ["explain", "agg_sales_daily", "--where", "store_id = 1 AND business_date = DATE '2026-03-05'"]
    code, out, _ = insightmart(*asked)
    assert code == 0
    assert "├── loads: loads 1" in out
    (found, *_) = json.loads(insightmart(*asked, "--json")[1])
    assert (found["what"], found["store_id"]) == ("certified.agg_sales_daily", 1)
    page = tmp_path / "explained" / "figure.html"
    code, out, _ = insightmart(*asked, "--page", str(page))
    assert (code, out.strip()) == (0, str(page))
    content = page.read_text(encoding="utf-8")
    assert content.count("<details open>") > 5
    assert "store_id = 1 AND business_date = DATE &#39;2026-03-05&#39;" in content
    for wrong in (
        ["explain", "fct_orders"],
        ["explain", "store", "1", "yesterday"],
        ["explain", "order"],
        ["explain", "agg_sales_daily", "--where", "1=1; DROP TABLE x"],
    ):
        code, _, err = insightmart(*wrong)
        assert (code, err.count("\n")) == (2, 1), wrong
