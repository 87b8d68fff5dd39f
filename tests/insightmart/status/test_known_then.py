"""What was known at an instant of the past, out of a journal and evidence written by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from ingestion.warehouse import open_duckdb
from insightmart.errors import InsightMartError
from insightmart.settings import Settings
from insightmart.status.known_then import is_past, known_at, report_then, write_page_then
from tests.support.journalled import Journalled, publish
from tests.support.workshop import CommandLine

NOON = datetime(2026, 3, 6, 12)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIRST, SECOND = date(2026, 3, 5), date(2026, 3, 6)


@pytest.fixture
def journal(settings: Settings) -> Iterator[Journalled]:
    """Noon: 10 and 5 are shown. At 13:00 late rows made 9 of the 10; at 14:00 the 5 became 6."""
    with open_duckdb(settings.database_path) as warehouse:
        made = Journalled(warehouse)
        publish(warehouse, NOON - HOUR, "v1")
        made.sold(FIRST, "10")
        made.sold(SECOND, "5")
        made.evaluated(NOON - DAY, NOON)
        publish(warehouse, NOON, "v1")
        window = {"window_id": "w1", "source": "oltp", "entity": "sales", "load_id": "17.1", "status": "open"}
        hours = {"window_start": NOON - DAY, "window_end": NOON - DAY + HOUR, "queued_at": NOON + HOUR / 2}
        warehouse.insert("ops.correction_windows", [window | hours])
        made.sold(FIRST, "9")
        made.evaluated(NOON - DAY, NOON - DAY + HOUR)
        publish(warehouse, NOON + HOUR, "v1")
        warehouse.execute("UPDATE ops.correction_windows SET status = 'closed', closed_at = ?", [NOON + HOUR])
        made.sold(SECOND, "6")
        made.evaluated(NOON, NOON + HOUR)
        publish(warehouse, NOON + 2 * HOUR, "v1")
        check = {"scan_id": "s", "area": "sales__oltp", "check_name": "<b>few</b> refunds", "environment": "prod"}
        check |= {"severity": "warning", "value": "50.0", "dataset": "D"}
        failed = check | {"outcome": "fail", "as_of": NOON, "scanned_at": NOON}
        passed = check | {"outcome": "pass", "as_of": NOON + HOUR, "scanned_at": NOON + HOUR}
        warehouse.insert("ops.check_results", [failed, passed])
        run = {"run_id": "cycle-1", "command": "cycle", "status": "failed", "error": "no\x1b[31m answer"}
        warehouse.insert("ops.runs", [run | {"as_of": NOON, "started_at": NOON, "ended_at": NOON}])
        yield made


def test_figures_changes_checks_and_queue_are_those_of_the_instant(journal: Journalled, settings: Settings) -> None:
    then = known_at(journal.warehouse, settings, NOON + HOUR / 2)
    assert [(day.business_date, day.net_sales) for day in then.days] == [(SECOND, 5), (FIRST, 10)]
    assert then.surprises == []
    assert [check.value for check in then.failed] == ["50.0"]
    assert [(waiting.source, waiting.windows) for waiting in then.waiting] == [("oltp", 1)]
    assert [run.run_id for run in then.runs] == ["cycle-1"]
    assert then.through["agg_sales_hourly__oltp"] == NOON

    later = known_at(journal.warehouse, settings, NOON + HOUR)
    assert [(day.business_date, day.net_sales) for day in later.days] == [(SECOND, 5), (FIRST, 9)]
    assert [(one.business_date, one.change, one.cause) for one in later.surprises] == [(FIRST, -1, "late rows")]
    assert (later.failed, later.waiting) == ([], [])


def test_text_and_page_say_it_and_trust_no_text(journal: Journalled, settings: Settings, tmp_path: Path) -> None:
    then = known_at(journal.warehouse, settings, NOON)
    text = report_then(then)
    assert text.startswith("As it was known at 2026-03-06 12:00 UTC\n")
    assert re.search(r"2026-03-05 +1 +10\.00 ", text)
    assert "few</b> refunds (found 50.0" in text
    assert "\x1b" not in text
    page = write_page_then(then, tmp_path / "pages")
    assert page.name == "as-published-20260306T1200.html"
    content = page.read_text(encoding="utf-8")
    assert "&lt;b&gt;few&lt;/b&gt; refunds" in content
    assert "<b>few" not in content
    assert "As published" not in content
    assert "10.00" in content


def test_the_command_takes_an_instant_since_which_something_was_published_for_the_past(
    journal: Journalled, settings: Settings, insightmart: CommandLine
) -> None:
    assert is_past(journal.warehouse, NOON)
    assert not is_past(journal.warehouse, NOON + 2 * HOUR)
    journal.warehouse.close()
    for option in ("--as-of", "--as-published"):
        code, out, _ = insightmart("report", option, "2026-03-06T12:00")
        assert (code, out.splitlines()[0]) == (0, "As it was known at 2026-03-06 12:00 UTC")
    code, _, err = insightmart("report", "--as-published", "2026-03-06T12:00", "--email")
    assert (code, "not mailed" in err) == (2, True)
    code, out, _ = insightmart("status", "--as-published", "2026-03-06T12:00")
    assert code == 0
    assert out.strip() == str(settings.home / "status" / "as-published-20260306T1200.html")


def test_before_the_journal_nothing_can_be_said(
    journal: Journalled, settings: Settings, insightmart: CommandLine
) -> None:
    with pytest.raises(InsightMartError, match="nothing had been published by") as refused:
        known_at(journal.warehouse, settings, NOON - DAY)
    assert refused.value.cure == "The journal begins at 2026-03-06 11:00 UTC"
    journal.warehouse.close()
    code, _, err = insightmart("report", "--as-published", "2026-03-05T12:00")
    assert (code, "The journal begins at" in err) == (1, True)


def test_a_warehouse_without_a_journal_says_so(settings: Settings) -> None:
    with open_duckdb(settings.database_path) as warehouse:
        assert not is_past(warehouse, NOON)
        with pytest.raises(InsightMartError, match="no journal yet"):
            known_at(warehouse, settings, NOON)
