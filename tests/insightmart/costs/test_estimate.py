"""A month as it is estimated: by hand where the figures are simple, and its ends, its lines, its command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from insightmart.account.account_parameters import PARAMETERS, AccountParameters, read_parameters
from insightmart.cli import cli
from insightmart.costs.estimate import COMPUTE, STORED, TWICE, estimate, month, sensitivities
from insightmart.costs.hourly_work import hour_of_work
from insightmart.costs.measurements import figures, read_measurements
from insightmart.costs.price_table import read_prices
from insightmart.errors import ConfigurationError
from insightmart.settings import PROJECT

MEASURED, PRICES = read_measurements(), read_prices()
# An hour of exactly the size that the benches have, computed at one core a credit, a second a statement.
SIMPLE = figures(MEASURED) | {
    "raw_gb_a_day": 633 * 24 / 1000,
    "task_slower": 1,
    "stored_share": 0,
    "statement_seconds": 1,
    "slower_than_duckdb": 1,
    "cores_a_credit": 1,
    "parallel": 1,
    "gate_share": 0,
    "corrected_hours": 0,
    "fixed_core_seconds": 0,
    "build_core_seconds": 16,  # of 160,000 orders: 160 for 1.6 million, 40 s on the four cores of a MEDIUM
}


@pytest.fixture(scope="module")
def account() -> AccountParameters:
    return read_parameters(PROJECT / PARAMETERS)


def test_a_warehouse_is_awake_for_its_work_and_until_it_sleeps(account: AccountParameters) -> None:
    work = hour_of_work(SIMPLE, account, PRICES.credits_an_hour)
    assert (work.load, work.models, work.gate) == pytest.approx((10.99 + 147, 40 + 453 - 57, 57))
    # LOAD once, TRANSFORM woken twice, GATE asleep between its seven scans; each sleeps after 60 s
    assert work.awake == pytest.approx({"LOAD": 157.99 + 60, "TRANSFORM": 493 + 120, "GATE": 57 + 7 * 60})
    lines = {line.what: line for line in month(SIMPLE, PRICES, account)}
    transform = lines["TRANSFORM, models of each hour"]
    assert transform.usd == pytest.approx(613 / 3600 * 4 * 730 * 3.00)


def test_a_minute_is_paid_for_at_least_and_an_hour_at_most(account: AccountParameters) -> None:
    nothing = {**SIMPLE, "load_statements": 0, "hour_load_seconds": 0}
    awake = {name: one.model_copy(update={"suspend_seconds": 5}) for name, one in account.warehouses.items()}
    quick = account.model_copy(update={"warehouses": awake})
    assert hour_of_work(nothing, quick, PRICES.credits_an_hour).awake["LOAD"] == 60
    endless = {**SIMPLE, "statement_seconds": 60}
    assert set(hour_of_work(endless, account, PRICES.credits_an_hour).awake.values()) == {3600}


def test_bytes_and_rows_grow_with_the_volume_and_statements_do_not(account: AccountParameters) -> None:
    one, three = (hour_of_work(SIMPLE, account, PRICES.credits_an_hour, times) for times in (1, 3))
    assert three.extract == pytest.approx(3 * one.extract)
    assert three.models - one.models == pytest.approx(80)
    assert three.gate == one.gate
    once, thrice = (estimate(MEASURED, PRICES, account, times) for times in (1, 3))
    stored = [once.total(once.likely, STORED), thrice.total(thrice.likely, STORED)]
    assert 2.9 < stored[1] / stored[0] < 3  # evidence does not grow
    assert (
        once.total(once.likely, COMPUTE) < thrice.total(thrice.likely, COMPUTE) < 3 * once.total(once.likely, COMPUTE)
    )


def test_each_line_lies_between_its_ends(account: AccountParameters) -> None:
    found = estimate(MEASURED, PRICES, account)
    for line, low, high in zip(found.likely, found.low, found.high, strict=True):
        assert low.what == line.what == high.what
        assert low.usd <= line.usd <= high.usd, line.what


def test_what_carries_the_most_comes_first_and_twice_the_time_is_among_it(account: AccountParameters) -> None:
    found = sensitivities(MEASURED, PRICES, account)
    assert [one.swing for one in found] == sorted((one.swing for one in found), reverse=True)
    twice = next(one for one in found if one.name == TWICE)
    likely = estimate(MEASURED, PRICES, account)
    assert twice.low == pytest.approx(likely.total(likely.likely))
    assert twice.high > twice.low
    assert {one.name for one in found} - {TWICE} == {name for name, one in MEASURED.items() if one.kind == "assumed"}


def test_the_command_tells_lines_total_budget_and_doubts(tmp_path: Path, account: AccountParameters) -> None:
    file = tmp_path / "cost.json"
    done = CliRunner().invoke(cli, ["cost", "--times", "3", "--json", str(file)])
    assert done.exit_code == 0, done.output
    expected = estimate(MEASURED, PRICES, account, 3)
    likely = expected.total(expected.likely)
    assert f"Likely {likely:,.0f} USD a month" in done.output
    assert "of the budget of 18,000" in done.output
    assert f"A cycle takes likely {expected.cycle['value']:,.0f} s" in done.output
    assert "at the dear end the hour's work is not done within the hour" in done.output
    assert "not verified" in done.output
    assert "Measured on DuckDB, computed for Snowflake" in done.output
    written = json.loads(file.read_text())
    assert written["total_usd"]["likely"] == round(likely, 2)
    assert len(written["lines"]) == len(expected.likely)
    assert {line["price_verified"] for line in written["lines"]} == {True, False}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text.replace("size: MEDIUM", "size: HUGE"), "warehouses.TRANSFORM.size"),
        (lambda _: "", "not a mapping"),
    ],
)
def test_parameters_that_cannot_be_used_end_in_a_line(tmp_path: Path, change: object, complaint: str) -> None:
    own = tmp_path / "account.yml"
    own.write_text(change((PROJECT / PARAMETERS).read_text(encoding="utf-8")))  # type: ignore[operator]
    done = CliRunner().invoke(cli, ["cost", "--account", str(own)])
    assert isinstance(done.exception, ConfigurationError)
    assert complaint in str(done.exception)
    assert "\n" not in str(done.exception)


def test_a_price_of_the_contract_counts_in_place_of_the_table(tmp_path: Path, account: AccountParameters) -> None:
    cheap = account.model_copy(update={"budget": account.budget.model_copy(update={"usd_a_credit": 1.5})})
    found, listed = (estimate(MEASURED, PRICES, of) for of in (cheap, account))
    assert found.total(found.likely, COMPUTE) == pytest.approx(listed.total(listed.likely, COMPUTE) / 2)


def test_a_figure_that_does_not_say_how_sure_it_is_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "measured.yml"
    for text, complaint in (
        ("a: {value: 1, unit: s, kind: assumed, from: somewhere}", "a: what is assumed, and nothing else, has low"),
        (
            "a: {value: 1, unit: s, kind: measured, from: somewhere}",
            "a: what was measured, and nothing else, says when",
        ),
        ("a: {value: 1, unit: s, kind: measured, dated: 2026-01-01}", "a.from: Field required"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigurationError, match=complaint):
            read_measurements(file)
