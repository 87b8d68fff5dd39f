"""This machine's clock against the sources': what a cycle acts by, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from insightmart.doctor.examination import examine
from insightmart.settings import Settings
from insightmart.source_clocks import Clocks, compared, read_clocks
from tests.support.web_server import Quiet, serving

NOW = datetime(2026, 3, 6, 10, 5)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def said(clocks: Clocks) -> list[tuple[str, str]]:
    return [(problem.subject, problem.message) for problem in clocks.problems]


def test_clocks_that_agree_are_not_mentioned() -> None:
    found = compared(NOW, {"oltp": timedelta(), "shopify": SECOND, "stores": -2 * MINUTE})
    assert (found.now, found.by_source, said(found)) == (NOW, {}, [])


def test_a_machine_that_is_ahead_of_all_acts_at_their_time() -> None:
    found = compared(NOW, {"oltp": HOUR, "shopify": HOUR + SECOND, "stores": HOUR})
    assert (found.now, found.by_source) == (NOW - HOUR, {})
    assert said(found) == [
        ("this machine", "this machine's clock is 60 min ahead of all sources; acted at 2026-03-06 09:05 UTC")
    ]


def test_one_source_that_is_behind_is_read_through_its_own_time() -> None:
    found = compared(NOW, {"oltp": HOUR, "shopify": timedelta()})
    assert (found.now, found.by_source) == (NOW, {"oltp": NOW - HOUR})
    assert said(found) == [("oltp", "the clock of PostgreSQL is 60 min behind: it is read through its own time")]


def test_a_machine_that_is_behind_says_so_and_acts_at_its_own_time() -> None:
    found = compared(NOW, {"oltp": -HOUR, "stores": -HOUR})
    assert (found.now, found.by_source) == (NOW, {})
    assert said(found) == [
        ("this machine", "this machine's clock is 60 min behind all sources: hours come so much later")
    ]


def test_nobody_who_answers_is_nobody_to_compare_with() -> None:
    assert compared(NOW, {}) == Clocks(NOW)


@contextmanager
def another_time(ahead: timedelta) -> Iterator[str]:
    """The address of a server that refuses everything and tells this time."""

    class Handler(Quiet):
        def do_HEAD(self) -> None:
            self.send_error(403)

        def date_time_string(self, _: float | None = None) -> str:
            return format_datetime(datetime.now(UTC) + ahead, usegmt=True)

    with serving(Handler) as address:
        yield address


def test_s3_and_the_shop_tell_their_time_whatever_else_they_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with another_time(-HOUR) as shop, another_time(timedelta()) as s3:
        settings = Settings(
            home=tmp_path, SHOPIFY_URL=shop, SHOPIFY_TOKEN="shpat_x", STORES_URL="s3://b/in", AWS_ENDPOINT_URL=s3,
            OLTP_DSN="postgresql://x@127.0.0.1:1/shop", _env_file=None,
        )  # type: ignore[call-arg]  # fmt: skip
        behind = read_clocks(settings)
        (finding,) = examine(settings, ["clock"])
    assert sorted(behind) == ["shopify", "stores"]
    assert abs(behind["shopify"] - HOUR) < MINUTE and abs(behind["stores"]) < MINUTE
    assert finding.status == "failed"
    assert "ahead of the clock of Shopify" in finding.detail
