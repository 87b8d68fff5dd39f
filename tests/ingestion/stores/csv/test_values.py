"""Cells of store files into exact values: nothing is guessed, rounded or shifted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.csv_files import COUNTED, HEADER, only_amount, only_value, outcome


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("5", 5), ("-5", -5), ("+5", 5), (" 5 ", 5), ("0005", 5), ("-0", 0), ("", None), ("  ", None),
        ("1,234", 1234), ("-1,234,567", -1234567), ("1 234", 1234), ("1\u00a0234", 1234),
        ("1\u202f234\u202f567", 1234567),
        ("1'234", 1234), ("1.234.567", 1234567), ("12.0", 12), ("12.00", 12), ("999999999999999999", 10**18 - 1),
        ("1000000000000000000", "on_hand_out_of_range"), ("0" * 30 + "7", 7),
        *((bad, "on_hand_not_integer") for bad in (
            "twelve", "0x10", "1e3", "1_000", "\u0661", "1.5", "1.234", "12.000", "1,23", "12,34", "0,123", "1,234 567",
            "1 23", "NULL", "N/A", "nan", "-", "5-", "(5)", "--5", "5 pcs", "1,234,56", "=5", "\u22125",
        )),
    ],
)  # fmt: skip
def test_whole_numbers(cell: str, value: Any) -> None:
    assert only_value(cell, "on_hand") == value


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12.34", "12.34"), ("-12.3456", "-12.3456"), ("12", "12"), (".5", "0.5"), ("5.", "5"), ("+1.5", "1.5"),
        ("1,234.56", "1234.56"), ("1,234,567", "1234567"), ("1,234", "1234"), ("1 234.56", "1234.56"),
        ("1.234,56", "1234.56"), ("12,50", "12.50"), ("0,125", "0.125"), ("1234,567", "1234.567"),
        ("1 234,5", "1234.5"),
        ("1.234", "1.234"), ("12.34000000", "12.34"), ("00012.50", "12.5"), ("0" * 60 + "." + "0" * 60, "0"),
        ("99999999999999.9999", "99999999999999.9999"), ("-0.0001", "-0.0001"),
    ],
)  # fmt: skip
def test_amounts_are_exact(cell: str, value: str) -> None:
    assert only_amount(cell) == Decimal(value)


@pytest.mark.parametrize(
    ("cell", "rule"),
    [
        ("12.34567", "too_precise"), ("0.00001", "too_precise"), ("12,34567", "too_precise"),
        ("100000000000000", "out_of_range"), ("1e3", "not_decimal"), ("nan", "not_decimal"), ("inf", "not_decimal"),
        ("$12.00", "not_decimal"), ("12.00-", "not_decimal"), ("1,23.4", "not_decimal"), ("1.2.3", "not_decimal"),
        ("1,2345,678", "not_decimal"), ("-", "not_decimal"), (".", "not_decimal"), ("", "missing"),
    ],
)  # fmt: skip
def test_amounts_without_an_exact_value_are_rejected(cell: str, rule: str) -> None:
    assert only_amount(cell) == f"gross_sales_{rule}"


@pytest.mark.parametrize(
    ("cell", "separator", "beside", "value"),
    [
        ("1,234", ",", "0,50", "gross_sales_ambiguous"),
        ("1.234", ",", "0,50", "gross_sales_ambiguous"),
        ("1,234", ";", "0", "gross_sales_ambiguous"),
        ("1.234", ";", "0", "gross_sales_ambiguous"),
        ("1,234", ";", "0.50", Decimal(1234)),
        ("1.234", ";", "0.50", Decimal("1.234")),
        ("12.50", ";", "0", Decimal("12.5")),
        ("12,50", ";", "0", Decimal("12.5")),
        ("1.234,50", ",", "0,50", Decimal("1234.5")),
        ("1,234.50", ",", "0,50", Decimal("1234.5")),
    ],
)
def test_an_amount_with_two_readings_is_rejected(cell: str, separator: str, beside: str, value: Any) -> None:
    assert only_amount(cell, separator, beside) == value


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("2026-03-05T10:15:00Z", COUNTED),
        ("2026-03-05t10:15:00z", COUNTED),
        ("2026-03-05 10:15Z", COUNTED),
        ("2026-03-05T05:15:00-05:00", COUNTED),
        ("2026-03-05T15:45:00+0530", COUNTED),
        ("2026-03-05 11:15:00+01", COUNTED),
        ("2026-03-06T00:15:00+14:00", COUNTED),
        (" 2026-03-05T10:15:00-00:00 ", COUNTED),
        ("2026-03-05T10:15:00.123456Z", COUNTED.replace(microsecond=123456)),
        ("2026-03-05T10:15:00,5Z", COUNTED.replace(microsecond=500000)),
        ("2026-03-05T10:15:00.1234560000Z", COUNTED.replace(microsecond=123456)),
        ("2026-03-05T10:15:00.1234567Z", "counted_at_too_precise"),
        ("2026-03-05T10:15:00", "counted_at_without_offset"),
        ("2026-03-05 10:15", "counted_at_without_offset"),
        ("2026-03-05", "counted_at_without_offset"),
        *(
            (bad, "counted_at_not_instant")
            for bad in (
                "05/03/2026 10:15", "2026-02-29T10:15:00Z", "2026-04-31T10:15:00Z", "2026-13-05T10:15:00Z",
                "1772705700",
                "2026-03-05T24:00:00Z", "2026-03-05T10:60:00Z", "2026-03-05T10:15:60Z", "2026-03-05T10:15:00+15:00",
                "2026-03-05T10:15:00+01:60", "2026-03-05T10:15:00 EST", "2026-03-05T10:15:00+", "20260305T101500Z",
                "2026-3-5T10:15:00Z", "now",
            )
        ),
    ],
)  # fmt: skip
def test_instants_are_utc_and_need_their_offset(cell: str, value: Any) -> None:
    assert only_value(cell, "counted_at") == value


@settings(deadline=None)
@given(st.lists(st.datetimes(datetime(2026, 3, 5, 9, 30), datetime(2026, 3, 5, 11, 29)), min_size=1, max_size=20),
       st.integers(-14 * 60, 14 * 60))  # fmt: skip
def test_any_instant_with_any_offset_is_read_exactly(instants: list[datetime], minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    cells = [instant.replace(tzinfo=UTC).astimezone(zone).isoformat() for instant in instants]
    found = outcome(HEADER + "".join(f"7,A-1,5,2,{cell}\n" for cell in cells))
    assert [row["counted_at"] for row in found.rows] == instants


@settings(deadline=None)
@given(st.decimals(min_value=-Decimal("9" * 14), max_value=Decimal("9" * 14), places=4))
def test_any_amount_is_read_exactly_with_and_without_separators(amount: Decimal) -> None:
    for text in (f"{amount:f}", f"{amount:,f}", f"{amount:,f}".translate(str.maketrans(",.", ".,"))):
        assert only_amount(text) == amount
