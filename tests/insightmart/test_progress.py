"""Steps and their lines, on a terminal and in a log."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from insightmart import progress


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> io.StringIO:
    """What is written; the parameter says whether it goes to a terminal."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=request.param, highlight=False, soft_wrap=True, width=100)
    monkeypatch.setattr(progress, "console", console)
    return written


@pytest.mark.parametrize("shown", [False], indirect=True)
def test_a_log_gets_a_line_now_and_then(shown: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOG_SECONDS", 3600.0)
    with progress.step("PostgreSQL") as step:
        step.say("orders: 1 of [9]\npieces")
        step.say("orders: 2 of [9] pieces")
        step.outcome = "9 rows"
    first, last = shown.getvalue().splitlines()
    assert first == "  PostgreSQL: orders: 1 of [9] pieces"
    assert last.startswith("+ PostgreSQL: 9 rows (")
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)
    step.say("orders: 3 of [9] pieces")
    assert shown.getvalue().splitlines()[2:] == ["  PostgreSQL: orders: 3 of [9] pieces"]


@pytest.mark.parametrize("shown", [True], indirect=True)
def test_a_terminal_shows_all_steps_under_way_with_their_latest_line(shown: io.StringIO) -> None:
    with progress.step("PostgreSQL") as first, progress.step("Shopify") as second:
        first.say("orders: 1 of [9] pieces")
        second.say("orders: page 7")
        second.failed, second.outcome = True, "no answer"
        progress.console.print(progress._running)
    text = shown.getvalue()
    assert "PostgreSQL" in text
    assert "orders: 1 of [9] pieces" in text
    assert "orders: page 7" in text
    assert "Shopify: no answer" in text


@pytest.mark.parametrize("shown", [True, False], indirect=True)
def test_steps_of_several_threads_do_not_disturb_each_other(shown: io.StringIO) -> None:
    together = threading.Barrier(3)

    def work(number: int) -> None:
        with progress.step(f"step {number}") as step:
            together.wait()
            step.say("at it")
            step.outcome = f"outcome {number}"

    threads = [threading.Thread(target=work, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(3):
        assert f"step {number}: outcome {number}" in shown.getvalue()
