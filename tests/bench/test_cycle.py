"""What a cycle costs is told for each kind of cycle; one that could not run is no figure."""

from __future__ import annotations

import os
import sys

import click
import pytest

from bench.cycle import run


@pytest.mark.parametrize(
    ("printed", "kind"),
    [
        ('{"corrections_closed": 2, "intervals_evaluated": 9}', "an hour with late corrections"),
        ('{"corrections_closed": 0, "intervals_evaluated": 9}', "a steady hour"),
        ('{"corrections_closed": 0, "intervals_evaluated": 0}', "nothing new"),
    ],
)
@pytest.mark.parametrize("code", [0, 1])
def test_a_cycle_is_counted_for_its_kind_also_one_that_reports_a_problem(printed: str, kind: str, code: int) -> None:
    found = run([sys.executable, "-c", f"print({printed!r}); raise SystemExit({code})"], os.environ)
    assert found.kind == kind
    assert found.seconds > 0
    assert 1_000_000 < found.peak_bytes < 60_000_000  # not what the process held that started it


def test_a_cycle_that_cannot_run_is_no_figure() -> None:
    with pytest.raises(click.ClickException, match="failed: no warehouse"):
        run(
            [sys.executable, "-c", "raise SystemExit(__import__('sys').stderr.write('no warehouse') and 2)"], os.environ
        )
