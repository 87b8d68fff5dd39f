"""Days of 23 and of 25 hours and a leap day, end to end, on a machine whose own clock changes with them: certified is
what the business did, by business date; hours are counted in UTC, where there is none twice and none is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from bench.business import as_of, open_business
from insightmart.commands.cycle import CycleResult, open_cycles
from insightmart.gateway import open_to_read
from insightmart.settings import load_settings
from insightmart.tie_out import tie_out
from sandbox.state import SandboxState
from tests.faults.proxy import Fault, Proxy
from tests.faults.soak import advance
from tests.faults.whole import truth
from tests.support.built_homes import new_home

pytestmark = pytest.mark.slow
HOUR = timedelta(hours=1)
# Of sources that are first read days after the business began: versions and counts that were gone by then
HISTORY = ("dim_customers", "fct_inventory", "agg_inventory_daily")


class Played:
    """A business and a warehouse whose cycles are run in this process, hours after its start.

    Attributes:
        postgres: stands between the two.
    """

    def __init__(
        self,
        start: datetime,
        home: Path,
        settings: dict[str, str],
        run: Callable[[datetime], CycleResult],
        proxy: Proxy,
    ) -> None:
        self.start, self.home, self.settings, self.run, self.postgres = start, home, settings, run, proxy

    @property
    def hour(self) -> int:
        """Up to where the business has come."""
        return int((SandboxState.load(self.home).clock.replace(tzinfo=None) - self.start) / HOUR)

    def cycle(self, hour: int) -> CycleResult:
        """Let the business go on to an hour, and play the cycle of it."""
        if (hours := hour - self.hour) > 0:
            advance(self.settings, hours)
        return self.run(as_of(hour, self.start))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """What readers see."""
        with open_to_read(load_settings()) as copy:
            return copy.rows(sql)

    def truth(self) -> dict[str, Any]:
        """What certified must hold."""
        return truth(self.settings)

    def wrong(self, expected: Mapping[str, Any], but: tuple[str, ...] = ()) -> list[str]:
        """What certified holds otherwise, some tables left out."""
        with open_to_read(load_settings()) as copy:
            ties = tie_out(copy, expected)
        return [
            f"{tie.what}: {tie.certified} for {tie.truth}"
            for tie in ties
            if not tie.exact and not tie.what.startswith(but)
        ]

    def hours(self, model: str) -> list[tuple[datetime, datetime]]:
        """The intervals of a model that were evaluated, in order."""
        return sorted(
            set(
                self.query(
                    "SELECT interval_start, interval_end FROM ops.run_intervals"
                    f" WHERE LOWER(model) LIKE '%{model}' AND status = 'evaluated'"
                )
            )
        )


@contextmanager
def playing(factory: pytest.TempPathFactory, start: datetime, hours: int, seed: int = 1) -> Iterator[Played]:
    """A business since a day, so many hours of it in its sources, and nothing in the warehouse."""
    home = new_home(factory, factory.mktemp("calendar") / "home")
    with open_business(home, "tiny", hours, start, seed) as own, pytest.MonkeyPatch.context() as patch:
        port = urlsplit(own.environment["OLTP_DSN"]).port
        assert port
        with Proxy(port) as proxy:
            own.environment["OLTP_DSN"] = own.environment["OLTP_DSN"].replace(f":{port}", f":{proxy.port}")
            for name, value in own.environment.items():
                patch.setenv(name, value)
            patch.delenv("INSIGHTMART_AS_OF")
            patch.setenv("TZ", "America/New_York")
            time.tzset()
            try:
                with open_cycles(load_settings()) as run:
                    yield Played(start, home, own.environment, run, proxy)
            finally:
                patch.undo()
                time.tzset()


def is_without_holes(hours: list[tuple[datetime, datetime]]) -> bool:
    """Whether whole hours of UTC follow one another; some may have been restated since."""
    reached = hours[0][0]
    for start, end in hours:
        if start > reached or (end - start) % HOUR or start.minute:
            return False
        reached = max(reached, end)
    return True


def test_the_hour_that_comes_twice_is_two_hours_and_a_late_correction_into_it_is_taken_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    start = datetime(2024, 11, 2)
    first, second = datetime(2024, 11, 3, 5), datetime(2024, 11, 3, 6)  # one o'clock in New York, both times
    with playing(tmp_path_factory, start, 30, seed=107) as played:
        for hour in (30, 31):
            assert played.cycle(hour).problems == []
            assert played.wrong(played.truth()) == [], hour
        # the whole day: 25 hours
        played.cycle(53)
        expected = played.truth()
        assert played.wrong(expected) == []
        assert counts(played, "2024-11-03") == expected_counts(expected, "2024-11-03")
        sold = played.query(
            f"SELECT ordered_at, order_id FROM certified.fct_orders WHERE store_id = 1 AND source_system = 'oltp'"
            f" AND ordered_at >= '{first}' AND ordered_at < '{second + HOUR}' ORDER BY 1"
        )
        assert [at >= second for at, _ in sold] == [False, True]  # one in each
        of_both = "SELECT SUM(orders) FROM certified.agg_sales_hourly WHERE business_date = '2024-11-03'"
        assert played.query(f"{of_both} AND store_id = 1 AND channel = 'store' AND business_hour = 1") == [(2,)]
        assert is_without_holes(played.hours("core.fct_orders__oltp"))
        assert (second, second + HOUR) in played.hours("core.fct_orders__oltp")
        assert played.hours("core.fct_orders__oltp")[-1][1] == datetime(2024, 11, 4, 5)

        # an order of the second time is cancelled a day later
        before = {hour: corrections(played, hour) for hour in (first, second)}
        [(gross, net)] = played.query(
            "SELECT gross_sales, gross_sales - discount_amount FROM certified.fct_orders"
            f" WHERE source_system = 'oltp' AND order_id = '{sold[1][1]}'"
        )
        with psycopg.connect(SandboxState.load(played.home).admin_dsn, autocommit=True) as admin:
            cancelled = "UPDATE orders SET status = 'cancelled', updated_at = '2024-11-04 05:30+00' WHERE order_id = %s"
            assert admin.execute(cancelled, [sold[1][1]]).rowcount == 1
        played.cycle(54)
        expected = played.truth()
        day = "SELECT SUM(orders), SUM(gross_sales), SUM(net_sales + returns) FROM certified.agg_sales_{}"
        one = [row for row in expected["agg_sales_daily"] if place_of(row) == ("2024-11-03", 1, "store")]
        [row] = one
        left = (
            row["orders"] - 1,
            Decimal(row["gross_sales"]) - gross,
            Decimal(row["net_sales"]) + Decimal(row["returns"]) - net,
        )
        here = " WHERE business_date = '2024-11-03' AND store_id = 1 AND channel = 'store'"
        for table in ("daily", "hourly"):
            assert played.query(day.format(table) + here) == [left], table
        assert played.query(f"{of_both} AND store_id = 1 AND channel = 'store' AND business_hour = 1") == [(1,)]
        total = expected["certified"]["fct_orders"]
        assert played.query("SELECT COUNT(*), SUM(gross_sales) FROM certified.fct_orders") == [
            (total["rows"] - 1, Decimal(total["sums"]["gross_sales"]) - gross)
        ]
        # its own hour was corrected, and not the one of the same name
        assert corrections(played, second) > before[second]
        assert corrections(played, first) == before[first]
        assert played.query("SELECT COUNT(*) FROM ops.correction_windows WHERE status = 'open'") == [(0,)]


def corrections(played: Played, hour: datetime) -> int:
    """How often an hour was queued to be restated."""
    [(number,)] = played.query(f"SELECT COUNT(*) FROM ops.correction_windows WHERE window_start = '{hour}'")
    return int(number)


def place_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["business_date"], row["store_id"], row["channel"]


def test_a_leap_day_and_a_day_of_23_hours_are_whole_and_customers_that_fell_into_an_outage_are_read_the_next_hour(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with playing(tmp_path_factory, datetime(2024, 2, 28), 24) as played:
        assert played.cycle(24).problems == []
        assert played.wrong(played.truth()) == []
        # the daily load of customers falls into an outage of PostgreSQL
        played.postgres.set(Fault("cut"))
        down = played.cycle(48)
        assert [problem.subject for problem in down.problems][:1] == ["oltp"]
        assert customers(played) != expected_customers(played.truth())
        played.postgres.set(Fault())
        assert played.cycle(49).problems == []
        assert customers(played) == expected_customers(played.truth())
        # eleven days later clocks go forward: before, in and after the hour that is not there, and the whole day
        for hour in (270, 271, 272, 292):
            played.cycle(hour)
            assert played.wrong(played.truth(), but=HISTORY) == [], hour
        expected = played.truth()
        # the leap day
        leap = [row for row in expected["agg_sales_daily"] if row["business_date"] == "2024-02-29"]
        assert len(leap) > 5
        sums = "SELECT COUNT(*), SUM(net_sales) FROM certified.agg_sales_daily WHERE business_date = '2024-02-29'"
        assert played.query(sums) == [(len(leap), sum(Decimal(row["net_sales"]) for row in leap))]
        there = (
            "SELECT calendar_date FROM certified.dim_dates WHERE calendar_date BETWEEN '2024-02-28' AND '2024-03-01'"
        )
        assert len(played.query(there)) == 3
        hourly = "SELECT DISTINCT business_hour FROM certified.agg_sales_hourly WHERE business_date = '2024-03-10'"
        assert 2 not in {found for (found,) in played.query(f"{hourly} AND store_id = 1")}
        assert counts(played, "2024-03-10") == expected_counts(played.truth(), "2024-03-10")
        evaluated = played.hours("core.fct_orders__oltp")
        assert is_without_holes(evaluated)
        assert (datetime(2024, 3, 10, 6), datetime(2024, 3, 10, 7)) in evaluated
        assert (datetime(2024, 3, 10, 7), datetime(2024, 3, 10, 8)) in evaluated


def customers(played: Played) -> tuple[Any, ...]:
    [found] = played.query("SELECT COUNT(*), COUNT_IF(is_inferred) FROM certified.dim_customers")
    return found


def expected_customers(expected: Mapping[str, Any]) -> tuple[Any, ...]:
    found = expected["dimensions"]["dim_customers"]
    return found["rows"], found["inferred"]


def counts(played: Played, day: str) -> set[tuple[Any, ...]]:
    """How often products were counted on a local day, by store; the online shop's were read too late."""
    found = "SELECT store_id, SUM(counted_hours) FROM certified.agg_inventory_daily WHERE business_date = '{}'"
    return set(played.query(found.format(day) + " AND store_id > 0 GROUP BY 1"))


def expected_counts(expected: Mapping[str, Any], day: str) -> set[tuple[Any, ...]]:
    rows = [row for row in expected["inventory"] if row["business_date"] == day and row["store_id"] > 0]
    return {(row["store_id"], row["counts"]) for row in rows}
