"""docs/capacity.md says what the model computes, and a part breaks where it says."""

from __future__ import annotations

import pytest

from insightmart.account.account_parameters import PARAMETERS, read_parameters
from insightmart.costs.capacity import PAGE, VOLUMES, first_load_parts, hourly_parts
from insightmart.costs.capacity_page import page_as_it_should_be
from insightmart.costs.measurements import figures, read_measurements
from insightmart.costs.price_table import read_prices
from insightmart.settings import PROJECT

PARTS = [
    part
    for make in (hourly_parts, first_load_parts)
    for part in make(figures(read_measurements()), read_parameters(PROJECT / PARAMETERS), read_prices().credits_an_hour)
]


def test_page_and_model_agree() -> None:
    assert (PROJECT / PAGE).read_text(encoding="utf-8") == page_as_it_should_be(), "run `make docs`"


@pytest.mark.parametrize("part", PARTS, ids=[part.name for part in PARTS])
def test_a_part_needs_all_there_is_at_the_volume_where_it_breaks(part: object) -> None:
    breaks_at = part.breaks_at  # type: ignore[attr-defined]
    if breaks_at is None:
        assert part.at(1) == part.at(40)  # type: ignore[attr-defined]
    else:
        assert part.at(breaks_at / VOLUMES[0]) == pytest.approx(part.limit)  # type: ignore[attr-defined]


def test_reading_takes_what_the_benches_measured() -> None:
    found = {part.name: part for part in PARTS}
    # 250 million orders are 156.25 hours of the bench of 439 MB each, and a task takes half as long again
    assert found["PostgreSQL, read and typed, one process"].at(1) == pytest.approx(156.25 * 439 / 71.7 * 1.5 / 3600)
    assert found["store files of two years, one process"].at(1) == pytest.approx(149 * 24 * 730 / 59 * 1.5 / 3600)
