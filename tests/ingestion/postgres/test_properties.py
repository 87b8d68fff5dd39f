"""Whatever rows a PostgreSQL table holds: each comes back equal, or is rejected with a reason."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.loading.context import IngestContext
from ingestion.postgres.source import ingest

if TYPE_CHECKING:
    from conftest import Oltp

pytestmark = pytest.mark.slow

At = Callable[[str], IngestContext]
BIG = 2**63
AWKWARD = [
    "",
    " ",
    "NULL",
    "\\N",
    "\\.",
    '"',
    '""',
    ",",
    "\t",
    "\n",
    "\r\n",
    "\\",
    "\u2028",
    "\ufeff",
    "\U0010ffff",
    "t",
]

texts = st.none() | st.sampled_from(AWKWARD) | st.text(st.characters(blacklist_characters="\0", codec="utf-8"))
numbers = (
    st.none()
    | st.sampled_from([Decimal(text) for text in ("NaN", "Infinity", "-Infinity", "9999999999.9999", "1E10", "-0")])
    | st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12)
    | st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9)
)
whole = st.none() | st.integers(-BIG, BIG - 1) | st.sampled_from([BIG, -BIG - 1, Decimal("1.5"), Decimal("NaN")])
instants = (
    st.none()
    | st.sampled_from(["infinity", "-infinity", "0044-03-15 10:00:00+00 BC", "12026-01-01 00:00:00+00"])
    | st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))
)
rows = st.lists(st.tuples(whole, whole, numbers, texts, instants), max_size=12)


@pytest.fixture
def anything(oltp: Oltp) -> Iterator[None]:
    """Columns of ``refunds`` that take any number."""
    oltp.execute(
        "ALTER TABLE refunds ALTER order_id TYPE numeric, ALTER quantity TYPE numeric, ALTER amount TYPE numeric"
    )
    yield
    oltp.execute("TRUNCATE refunds")
    oltp.execute(
        "ALTER TABLE refunds ALTER order_id TYPE bigint, ALTER quantity TYPE int, ALTER amount TYPE numeric(14, 4)"
    )


def fault(order_id: Any, quantity: Any, amount: Any, refunded_at: Any) -> tuple[str, str] | None:
    """The first column that cannot be kept, and its rule."""
    for name, value in (("order_id", order_id), ("quantity", quantity)):
        if value is not None and not (isinstance(value, int) and -BIG <= value < BIG):
            return name, "integer_invalid"
    if amount is not None and not (amount.is_finite() and abs(amount) < 10**10 and amount == round(amount, 4)):
        return "amount", "number_not_exact"
    return ("refunded_at", "instant_invalid") if isinstance(refunded_at, str) else None


@pytest.mark.usefixtures("anything")
def test_every_row_comes_back_equal_or_is_rejected(at: At, oltp: Oltp) -> None:
    hours = itertools.count()

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rows)
    def check(given_rows: list[tuple[Any, ...]]) -> None:
        changed = datetime(2026, 3, 5, tzinfo=UTC) + timedelta(hours=next(hours))
        oltp.execute("TRUNCATE refunds")
        with oltp.admin.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO refunds (refund_id, order_id, quantity, amount, reason, refunded_at, updated_at)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [(number, *row, changed) for number, row in enumerate(given_rows)],
            )
        context = at((changed + timedelta(minutes=20)).replace(tzinfo=None).isoformat())
        result = ingest(context, oltp.source, entities=["refunds"])[0]
        assert result.source_count == len(given_rows) == result.rows + result.rejected_rows
        faults = {n: found for n, (o, q, a, _, r) in enumerate(given_rows) if (found := fault(o, q, a, r))}
        landed = context.warehouse.rows(
            "SELECT refund_id, order_id, quantity, amount, reason, refunded_at FROM raw.oltp_refunds"
            " WHERE _dlt_load_id = ? ORDER BY 1",
            [result.load_id],
        )
        assert landed == [
            (number, *row[:4], row[4] and row[4].replace(tzinfo=None))
            for number, row in enumerate(given_rows)
            if number not in faults
        ]
        rejected = context.warehouse.rows(
            "SELECT column_name, rule_id FROM raw.rejects WHERE _dlt_load_id = ?", [result.load_id]
        )
        assert sorted(rejected) == sorted(faults.values())

    check()


def test_text_that_no_row_can_hold_is_refused_by_the_server(oltp: Oltp) -> None:
    with pytest.raises(psycopg.DataError, match="NUL"):
        oltp.add("refunds", reason="\0")
