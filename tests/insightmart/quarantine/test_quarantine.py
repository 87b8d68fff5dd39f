"""`insightmart quarantine`: counts, rows and files with their reasons, harmless wherever they are shown."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from ingestion.contracts import ENTITIES
from ingestion.warehouse import open_duckdb
from insightmart.cli import cli
from insightmart.console_tables import shown
from insightmart.errors import InsightMartError
from insightmart.lock import writer_lock
from insightmart.quarantine.meanings import rules
from insightmart.settings import PROJECT, Settings

if TYPE_CHECKING:
    from conftest import Business

AT = datetime(2026, 3, 6, 16, 20)


def _run(business: Business, *arguments: str) -> Result:
    business.warehouse.close()
    with capture_logs():  # only the console script sends them to standard error
        return CliRunner().invoke(cli, ["quarantine", *arguments])


def _json(business: Business, *arguments: str) -> Any:
    result = _run(business, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def rejected(business: Business) -> Business:
    """Four rejected lines (one breaks two rules), an order, an untyped record and two whole files."""
    for hour, reasons in (
        (1, "unit_price_negative"),
        (5, "unit_price_negative"),
        (9, "sku_missing, unit_price_negative"),
    ):
        business.quarantined("oltp_order_lines", reasons, datetime(2026, 3, 6, hour))
    business.quarantined("oltp_order_lines", "order_unknown", AT)
    business.quarantined("oltp_orders", "currency_foreign", AT)
    record = {"source": "oltp", "entity": "orders", "is_whole_file": False, "rule_id": "number_not_exact"}
    record |= {"column_name": "total_amount", "reason": "total_amount 1e99 is not a decimal", "raw_text": '"1","1e99"'}
    business.warehouse.insert("raw.rejects", [{**record, "rejected_at": AT, "_dlt_load_id": "1772.2"}])
    business.rejected_file("inventory/2026/03/06/08/store_003.csv.gz", "the gzip data ends too early", AT)
    business.rejected_file("inventory/2026/03/06/09/store_004.csv.gz", "the gzip data ends too early", AT)
    return business


def test_rows_are_counted_by_entity_and_rule_with_their_meaning(rejected: Business) -> None:
    rows = _json(rejected, "list")["rows"]
    assert [(row["entity"], row["rule"], row["rows"]) for row in rows] == [
        ("oltp_order_lines", "unit_price_negative", 3),
        ("oltp_order_lines", "order_unknown", 1),
        ("oltp_order_lines", "sku_missing", 1),
        ("oltp_orders", "currency_foreign", 1),
        ("oltp_orders", "number_not_exact", 1),
    ]
    assert rows[0]["meaning"] == "The unit price is below zero"
    assert (rows[0]["oldest"], rows[0]["newest"]) == ("2026-03-06 01:00:00", "2026-03-06 09:00:00")
    assert rows[0]["owner"] == "operations"


@pytest.mark.parametrize(
    ("arguments", "rows", "files"),
    [
        (["--entity", "oltp_orders"], {"currency_foreign": 1, "number_not_exact": 1}, 0),
        (["--rule", "unit_price_negative"], {"unit_price_negative": 3}, 0),
        (["--since", "2026-03-06T05:00"], {"unit_price_negative": 2, "sku_missing": 1, "order_unknown": 1,
                                           "currency_foreign": 1, "number_not_exact": 1}, 2),
        (["--since", "2026-03-07"], {}, 0),
    ],
)  # fmt: skip
def test_the_list_can_be_narrowed(rejected: Business, arguments: list[str], rows: dict[str, int], files: int) -> None:
    found = _json(rejected, "list", *arguments)
    assert {row["rule"]: row["rows"] for row in found["rows"]} == rows
    assert len(found["files"]) == files


@pytest.mark.parametrize("since", [[], ["--since", "2026-03-06T16:20"]])
def test_a_file_leaves_when_a_later_content_was_loaded(rejected: Business, since: list[str]) -> None:
    seen = {
        "file_name": "inventory/2026/03/06/08/store_003.csv.gz",
        "file_hash": "def",
        "load_id": "1772.3",
        "status": "loaded",
        "seen_at": datetime(2026, 3, 6, 17),
    }
    rejected.warehouse.insert("ops.files", [seen])
    files = _json(rejected, "list", *since)["files"]
    assert [file["file_name"] for file in files] == ["inventory/2026/03/06/09/store_004.csv.gz"]
    assert files[0]["original_path"] == "/home/quarantine/abc"


def test_the_list_is_plain_text_in_a_pipe(rejected: Business) -> None:
    output = _run(rejected, "list", "--limit", "2").output
    assert "oltp_order_lines  unit_price_negative     3  The unit price is below zero" in output
    assert "3 more; --limit shows them." in output
    assert "\N{BOX DRAWINGS LIGHT VERTICAL}" not in output


def test_rows_are_shown_newest_first_with_the_load_they_came_with(rejected: Business) -> None:
    shown_rows = _json(rejected, "show", "oltp_order_lines", "--rule", "unit_price_negative")["rows"]
    assert [row["event_at"] for row in shown_rows] == [f"2026-03-06 0{hour}:00:00" for hour in (9, 5, 1)]
    assert {row["raw_load_id"] for row in shown_rows} == {"1772.1"}


def test_rows_are_shown_of_one_store_and_since_an_instant(rejected: Business) -> None:
    since = ("--since", "2026-03-06T05:00")
    shown_rows = _json(rejected, "show", "oltp_order_lines", "--rule", "unit_price_negative", *since)["rows"]
    assert [row["event_at"] for row in shown_rows] == [f"2026-03-06 0{hour}:00:00" for hour in (9, 5)]
    result = CliRunner().invoke(cli, ["quarantine", "show", "oltp_order_lines", "--store", "3"])
    assert isinstance(result.exception, InsightMartError)
    assert "rows of oltp_order_lines name no store" in str(result.exception)


def test_rows_of_a_store_are_shown(business: Business) -> None:
    business.warehouse.execute(
        "CREATE TABLE quarantine.stores_tills AS SELECT * FROM (VALUES (3, 'a', TIMESTAMP '2026-03-05', '1'),"
        " (4, 'a', TIMESTAMP '2026-03-05', '1')) AS v(store_id, reasons, event_at, raw_load_id)"
    )
    assert [row["store_id"] for row in _json(business, "show", "stores_tills", "--store", "4")["rows"]] == [4]


def test_a_rule_is_matched_as_a_whole(rejected: Business) -> None:
    assert _json(rejected, "show", "oltp_order_lines", "--rule", "price_negative")["rows"] == []


def test_records_that_could_not_be_typed_are_shown_as_the_source_sent_them(rejected: Business) -> None:
    (text,) = _json(rejected, "show", "oltp_orders")["rejected_texts"]
    assert (text["rule_id"], text["raw_text"], text["raw_load_id"]) == ("number_not_exact", '"1","1e99"', "1772.2")


def test_cells_cannot_run_in_a_terminal_or_a_spreadsheet(business: Business) -> None:
    business.quarantined(
        "oltp_orders", "channel_unknown", AT, customer_note='=HYPERLINK("http://x")\x1b]0;owned\x07[red]'
    )
    output = _run(business, "show", "oltp_orders").output
    assert "'=HYPERLINK(" in output
    assert "\x1b" not in output
    assert "\\x1b]0;owned\\x07[red]" in output


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("@SUM(A1)", "'@SUM(A1)"),
        (" +1", "' +1"),
        ("a\nb", "a\\nb"),
        ("\u202eevil", "\\u202eevil"),
        (-5, "-5"),
        (None, ""),
    ],
)
def test_what_is_shown_of_a_value(value: Any, text: str) -> None:
    assert shown(value) == text


def test_an_empty_warehouse_has_nothing_in_quarantine(settings: Settings) -> None:
    result = CliRunner().invoke(cli, ["quarantine", "list"])
    assert (result.exit_code, result.output) == (0, "Nothing has been loaded yet.\n")
    missing = CliRunner().invoke(cli, ["quarantine", "show", "oltp_orders"])
    assert isinstance(missing.exception, InsightMartError)
    assert "insightmart cycle" in str(missing.exception)


# --- replay ------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(business: Business, settings: Settings) -> Business:
    """A till file that was not trusted, the original kept; what was wrong with it has been mended since."""
    header = "store_id,business_date,transactions,gross_sales,discounts,returns,net_sales"
    content = f"{header}\n7,2026-03-05,3,10.50,0,0,10.50\n7,2026-03-05,3,ten,0,0,10\n".encode()
    file_hash = hashlib.sha256(content).hexdigest()
    (settings.home / "quarantine").mkdir()
    (settings.home / "quarantine" / file_hash).write_bytes(content)
    seen = {"source": "stores", "entity": "tills", "file_name": "tills/2026/03/05/store_007.csv", "etag": "e"}
    seen |= {"file_hash": file_hash, "bytes": len(content), "store_id": 7, "file_date": datetime(2026, 3, 5)}
    business.warehouse.insert("ops.files", [{**seen, "status": "quarantined", "load_id": "1772.1", "seen_at": AT}])
    place = {"source": "stores", "entity": "tills", "file_name": seen["file_name"], "file_hash": file_hash}
    reject = {"is_whole_file": True, "rule_id": "header_unreadable", "reason": "no header", "rejected_at": AT}
    business.warehouse.insert("raw.rejects", [{**place, **reject, "_dlt_load_id": "1772.1"}])
    return business


def test_a_replay_is_tried_then_done_and_done_once(kept: Business, settings: Settings) -> None:
    arguments = ["replay", "--as-of", "2026-03-06T17:10"]
    found = {"entity": "stores_tills", "rejects": 1, "resolved": 1, "rows": 1, "unread": {}}
    assert _json(kept, *arguments, "--dry-run") == [found]
    output = _run(kept, *arguments).output
    assert "stores_tills              1                1     1" in output
    assert "Nothing that could be replayed" not in output
    with open_duckdb(settings.database_path) as warehouse:
        assert warehouse.rows("SELECT net_sales, file_line FROM raw.stores_tills") == [(Decimal("10.50"), 2)]
        runs = warehouse.rows("SELECT command, status, summary FROM ops.runs ORDER BY started_at")
    assert [run[:2] for run in runs] == [("replay", "succeeded")] * 2
    assert json.loads(runs[1][2]) == {"dry_run": False, "resolved": 1, "rows": 1}
    listed = _json(kept, "list")
    assert (listed["files"], [row["rule"] for row in listed["rows"]]) == ([], ["gross_sales_not_decimal"])
    [again] = _json(kept, *arguments)
    assert (again["resolved"], again["rows"]) == (0, 0)


def test_a_replay_waits_for_the_writer_lock(settings: Settings) -> None:
    with writer_lock(settings, "cycle"):
        result = CliRunner().invoke(cli, ["quarantine", "replay"])
    assert isinstance(result.exception, InsightMartError)
    assert result.exception.exit_code == 75


# --- the meaning of the rules ------------------------------------------------------------------------------------


def _described(*, by_ingestion: bool = False) -> set[tuple[str, str]]:
    return {key for key, rule in rules().items() if not (by_ingestion and rule.condition)}


def test_every_rule_said_to_be_checked_while_loading_is() -> None:
    of_files = {(item.table, rule) for item in ENTITIES if item.from_file for rule in _rules_of_files(item.table)}
    exact = {(entity, rule) for entity, rule in _described(by_ingestion=True) if not entity.endswith("*")}
    assert exact - of_files == set()


def _code_of_files() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "ingestion" / "stores" / "csv").glob("*.py"))


def _rules_of_files(table: str) -> set[str]:
    columns = {column.name for item in ENTITIES if item.table == table for column in item.columns}
    source = _code_of_files()
    endings = set(re.findall(r'f"\{(?:column|name)\}_(\w+)"', source))
    named = set(re.findall(r'"((?:store_id|counted_at|business_date)_\w+)"', source))
    return {f"{column}_{ending}" for column in columns for ending in endings} | named


def test_every_fault_of_a_whole_file_is_described() -> None:
    source = _code_of_files()
    faults = set(re.findall(r'UntrustedFileError\(\s*"(\w+)"', source))
    assert len(faults) > 8
    assert {("stores_*", fault) for fault in faults} - _described() == set()
