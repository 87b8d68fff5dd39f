"""SQL that several statements share, on both engines."""

from __future__ import annotations


def exact_sum(value: str) -> str:
    """The sum of a value with a declared type: whatever an engine makes of SUM, totals are compared as decimals."""
    return f"CAST(SUM({value}) AS DECIMAL(38, 4))"
