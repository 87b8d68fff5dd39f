"""Months that finance closes, on a warehouse whose certified figures a test writes by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from ingestion.warehouse import open_duckdb
from insightmart.closing.close import MonthIsOpenError, close, closed_months, reopen
from insightmart.closing.month import FinanceMonth, month_of
from insightmart.closing.obstacles import obstacles
from insightmart.errors import ConfigurationError, InsightMartError
from tests.support.both_engines import ENGINES, opened
from tests.support.journalled import Journalled, publish

MARCH = FinanceMonth(date(2026, 3, 1))
DAY = timedelta(days=1)
OVER = datetime(2026, 4, 1, 12)
LAST = date(2026, 3, 31)


on_both_engines = pytest.mark.parametrize("finance", ENGINES, indirect=True)


@pytest.fixture
def finance(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journalled]:
    """March has been published whole: 10 on the 5th, 20 on the 31st, and 7 on the first of April."""
    monkeypatch.setattr("insightmart.closing.obstacles.part_states", lambda *_: [])  # of the tests of certification
    with opened(getattr(request, "param", "duckdb"), tmp_path, monkeypatch) as warehouse:
        journal = Journalled(warehouse)
        publish(warehouse, OVER, "code")
        for day, net_sales in ((date(2026, 3, 5), "10"), (LAST, "20"), (date(2026, 4, 1), "7")):
            journal.sold(day, net_sales)
        journal.evaluated(datetime(2026, 3, 1), OVER)
        publish(warehouse, OVER, "code")
        yield journal


def correct(finance: Journalled, day: date, net_sales: str | None, at: datetime) -> None:
    """A late correction, published."""
    finance.sold(day, net_sales)
    finance.evaluated(datetime.combine(day, datetime.min.time()), datetime.combine(day, datetime.min.time()) + DAY)
    publish(finance.warehouse, at, "code")


def amounts(finance: Journalled) -> list[tuple[object, ...]]:
    return [(one.closed, one.adjusted, one.current, one.adjustments) for one in closed_months(finance.warehouse)]


@on_both_engines
def test_what_was_closed_stays_and_what_changes_is_an_adjustment(finance: Journalled) -> None:
    assert close(finance.warehouse, MARCH, OVER, "run-1", "ada") == []
    assert amounts(finance) == [(30, 0, 30, 0)]
    correct(finance, LAST, "18.5", OVER + DAY)
    correct(finance, date(2026, 3, 17), "4", OVER + 2 * DAY)  # a day that nobody sold anything on
    correct(finance, date(2026, 4, 1), "9", OVER + 2 * DAY)  # not of March
    assert amounts(finance) == [(30, pytest.approx(2.5), pytest.approx(32.5), 2)]
    (month,) = closed_months(finance.warehouse)
    assert month.agrees
    assert (month.closed_by, month.reason) == ("ada", None)
    frozen = finance.warehouse.rows("SELECT business_date, net_sales FROM certified.finance_close ORDER BY 1")
    assert frozen == [(date(2026, 3, 5), 10), (LAST, 20)]
    adjusted = finance.warehouse.rows(
        "SELECT business_date, net_sales, cause FROM certified.finance_adjustments ORDER BY publication"
    )
    assert adjusted == [(LAST, pytest.approx(-1.5), "restated"), (date(2026, 3, 17), 4, "first")]


def test_a_figure_that_goes_away_is_an_adjustment_too(finance: Journalled) -> None:
    close(finance.warehouse, MARCH, OVER, "run-1", "ada")
    correct(finance, LAST, None, OVER + DAY)
    assert amounts(finance) == [(30, -20, 10, 1)]


@on_both_engines
def test_a_month_that_changed_by_hand_does_not_agree(finance: Journalled) -> None:
    close(finance.warehouse, MARCH, OVER, "run-1", "ada")
    finance.sold(LAST, "21")
    (month,) = closed_months(finance.warehouse)
    assert not month.agrees
    (found,) = obstacles(finance.warehouse, MARCH, OVER)
    assert found.what == "1 figure of certified.agg_sales_daily unlike what the journal says was published"
    finance.sold(date(2026, 3, 5), "9")  # in all it is what it was
    (month,) = closed_months(finance.warehouse)
    assert (month.closed + month.adjusted == month.current, month.differing, month.agrees) == (True, 2, False)


@on_both_engines
def test_reopening_is_an_event_and_a_month_can_be_closed_anew(finance: Journalled) -> None:
    close(finance.warehouse, MARCH, OVER, "run-1", "ada")
    with pytest.raises(InsightMartError, match="2026-03 is closed"):
        close(finance.warehouse, MARCH, OVER, "run-2", "ada")
    correct(finance, LAST, "25", OVER + DAY)
    reopen(finance.warehouse, MARCH, OVER + DAY, "run-3", "bob", "reported anew")
    assert closed_months(finance.warehouse) == []
    assert finance.warehouse.rows("SELECT * FROM certified.finance_close") == []
    with pytest.raises(InsightMartError, match="2026-03 is not closed"):
        reopen(finance.warehouse, MARCH, OVER + DAY, "run-4", "bob", "again")
    close(finance.warehouse, MARCH, OVER + DAY, "run-5", "bob")
    assert amounts(finance) == [(35, 0, 35, 0)]
    told = finance.warehouse.rows("SELECT status, actor, reason FROM ops.closes ORDER BY recorded_at")
    assert told == [("closed", "ada", None), ("reopened", "bob", "reported anew"), ("closed", "bob", None)]


def test_whatever_is_open_keeps_a_month_open_until_somebody_says_why(finance: Journalled) -> None:
    window = {"window_id": "w1", "source": "oltp", "entity": "sales", "status": "open"}
    # an hour of the last of March in the zone that is furthest behind
    hours = {"window_start": datetime(2026, 4, 1, 11), "window_end": OVER}
    finance.warehouse.insert("ops.correction_windows", [window | hours])
    finance.warehouse.insert("ops.missing_files", [{"store_id": 3, "file_hour": datetime(2026, 3, 9, 4)}])
    question = {"question_id": "q", "source": "oltp", "entity": "orders", "state": "open"}
    finance.warehouse.insert("ops.deletion_questions", [question])
    failed = {"control": "rows", "business_date": LAST, "run_id": "r", "status": "failed", "store_id": 1}
    finance.warehouse.insert("ops.reconciliations", [failed])
    finance.warehouse.insert(
        "ops.reconciled", [{name: failed[name] for name in ("control", "business_date", "run_id")}]
    )
    finance.warehouse.insert("ops.unpublished_windows", [{"mark_id": "m", "model": "certified"}])
    with pytest.raises(MonthIsOpenError) as refused:
        close(finance.warehouse, MARCH, OVER, "run-1", "ada")
    assert [one.what for one in refused.value.obstacles] == [
        "1 correction of oltp sales to be certified again (2026-04-01 11:00 to 2026-04-01 12:00 UTC)",
        "1 inventory file of 1 store missing, the first of 2026-03-09 04:00 UTC",
        "1 control total unlike the source without an explanation, the first of 2026-03-31",
        "1 open question about rows that vanished at a source",
        "1 window that a command has written and not published",
    ]
    assert finance.warehouse.rows("SELECT * FROM ops.closes") == []
    assert len(close(finance.warehouse, MARCH, OVER, "run-1", "ada", "the auditors agreed")) == 5
    ((reason, found),) = finance.warehouse.rows("SELECT reason, open_things FROM ops.closes")
    assert reason == "the auditors agreed"
    assert found.count("; ") == 4


def test_a_month_that_is_not_over_or_was_never_published_is_refused(finance: Journalled) -> None:
    with pytest.raises(InsightMartError, match="not over: its last business date ends 2026-04-01 12:00 UTC"):
        close(finance.warehouse, MARCH, OVER - timedelta(seconds=1), "run-1", "ada", "whatever")
    with pytest.raises(InsightMartError, match="nothing of 2026-02 was published"):
        close(finance.warehouse, month_of("2026-02"), OVER, "run-1", "ada", "whatever")


def test_what_is_not_certified_through_the_end_keeps_a_month_open(tmp_path: Path) -> None:
    with open_duckdb(tmp_path / "INSIGHTMART.duckdb") as warehouse:
        Journalled(warehouse)
        found = [one.what for one in obstacles(warehouse, MARCH, OVER)]
    assert "sales (store and phone) is certified through nowhere, and not through 2026-04-01 12:00 UTC" in found


@pytest.mark.parametrize("text", ["2026", "2026-13", "2026-3", "March", "2026-00", "2026-03-01"])
def test_a_text_that_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        month_of(text)


def test_a_month_knows_its_ends() -> None:
    december = month_of("2026-12")
    assert (december.first, december.last, december.next_first) == (
        date(2026, 12, 1),
        date(2026, 12, 31),
        date(2027, 1, 1),
    )
    assert month_of("2028-02").last == date(2028, 2, 29)
