"""Who is told what: a file of routes, and all that can be wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from insightmart.alerts.routes import EVERYBODY, Ends, read_routes
from insightmart.settings import Settings
from insightmart.status.problem import Problem

FILE = """
routes:
  - name: on call
    severity: bad
    apprise: [ONCALL_URL]
  - name: shop
    areas: [Sales]
    owners: [e-commerce, data-engineering]
    to: ["Shop <shop@example.com>"]
  - name: stores
    kinds: [in quarantine]
    owners: [store-operations]
    to: [stores@example.com]
  - name: figures
    areas: [customers]
    to: [finance@example.com]
    daily: true
"""


def _problem(kind: str = "late", owner: str = "data-engineering", areas: tuple[str, ...] = ("sales",)) -> Problem:
    return Problem(kind, "title", "what", "holds back", "action", owner, key="key", areas=areas)


@pytest.fixture
def routed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with REPORT_TO and the file above in the home."""
    monkeypatch.setenv("ONCALL_URL", "json://127.0.0.1/hook")
    settings.report_to = "data@example.com"
    (settings.home / "routes.yml").write_text(FILE, encoding="utf-8")
    return settings


@pytest.mark.parametrize(
    ("problem", "mail", "chat", "routes"),
    [
        (_problem(), ["shop@example.com"], [], ["shop"]),
        (_problem("held back"), ["shop@example.com"], ["ONCALL_URL"], ["on call", "shop"]),
        (_problem("held back", "operations"), [], ["ONCALL_URL"], ["on call"]),
        (_problem(owner="operations, e-commerce"), ["shop@example.com"], [], ["shop"]),
        (_problem(areas=("inventory",)), ["data@example.com"], [], [EVERYBODY]),
        (_problem(areas=()), ["shop@example.com", "finance@example.com"], [], ["shop", "figures"]),
        (_problem("in quarantine", "store-operations"), ["stores@example.com"], [], ["stores"]),
        (_problem("in quarantine", "operations"), [], [], []),
    ],
)
def test_a_problem_goes_by_area_owner_severity_and_kind(
    routed: Settings, problem: Problem, mail: list[str], chat: list[str], routes: list[str]
) -> None:
    assert read_routes(routed).of(problem) == Ends(tuple(mail), tuple(chat), tuple(routes))


def test_the_daily_report_goes_to_whom_the_file_says(routed: Settings) -> None:
    assert read_routes(routed).of_daily().mail == ("finance@example.com",)
    (routed.home / "routes.yml").unlink()
    assert read_routes(routed).of_daily().mail == ("data@example.com",)
    assert read_routes(routed).of(_problem()).mail == ("data@example.com",)


@pytest.mark.parametrize(
    ("old", "new", "flaw"),
    [
        ("stores@example.com", "stores@", "routes.yml: route 'stores': 'stores@' is no mail address"),
        ("ONCALL_URL", "NO_SUCH", "routes.yml: route 'on call': the variable NO_SUCH is not set"),
    ],
)
def test_what_is_wrong_with_one_route_leaves_the_others_as_they_are(
    routed: Settings, old: str, new: str, flaw: str
) -> None:
    (routed.home / "routes.yml").write_text(FILE.replace(old, new), encoding="utf-8")
    routes = read_routes(routed)
    assert routes.flaws == (flaw,)
    assert routes.of(_problem()).mail == ("shop@example.com",)


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("routes: [", "is no YAML, line 1"),
        ("routes: {}", "is no file of routes: routes: Input should be a valid list"),
        (
            "routes:\n - {name: a, severity: terrible}",
            "is no file of routes: routes.0.severity: Input should be 'note'",
        ),
        ("routes:\n - {name: a, recipients: [b]}", "is no file of routes: routes.0.recipients: Extra inputs"),
        (
            "routes:\n - {name: a, apprise: ['slack://secret']}",
            "is no file of routes: routes.0.apprise.0: String should",
        ),
    ],
)
def test_a_file_that_cannot_be_used_leaves_everything_to_report_to(routed: Settings, text: str, flaw: str) -> None:
    (routed.home / "routes.yml").write_text(text, encoding="utf-8")
    routes = read_routes(routed)
    (said,) = routes.flaws
    assert flaw in said
    assert "secret" not in said
    assert routes.of(_problem()).mail == ("data@example.com",)


def test_a_file_that_is_named_and_not_there_is_said(routed: Settings, tmp_path: Path) -> None:
    routed.routes = tmp_path / "nowhere.yml"
    assert read_routes(routed).flaws == (f"{tmp_path}/nowhere.yml cannot be read: No such file or directory",)
