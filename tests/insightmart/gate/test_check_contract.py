"""What a check allows, and whom to ask, is read from its SodaCL text."""

from __future__ import annotations

import pytest

from insightmart.gate.check_contract import check_contract


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("checks for T:\n  - missing_count(A) = 0:\n      attributes: {owner: finance}", ("= 0", "finance")),
        ("checks for T:\n  - share:\n      share query: SELECT 1\n      fail: when > 25", ("not > 25", "")),
        ("checks for T:\n  - values in (A) must exist in B (A):\n      name: x", ("", "")),
        ("no: [yaml", ("", "")),
        ("checks for T:\n  - row_count > 0", ("", "")),
        ("a text", ("", "")),
        ("", ("", "")),
    ],
)
def test_what_a_check_allows_is_read_from_its_definition(definition: str, expected: tuple[str, str]) -> None:
    assert check_contract(definition) == expected
