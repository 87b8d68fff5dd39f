"""The pages in Chromium: by file and by HTTP, small and dark, filtered, too old, with hostile names."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.clock import utc_now
from ingestion.warehouse import open_duckdb
from insightmart.pages.site import write_page
from insightmart.runs import ProblemKind, RunProblem
from insightmart.settings import Settings
from tests.support import many_stores
from tests.support.handmade_warehouse import START, Business

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which is not installed here"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of 120 stores over a week, an hour of which is refused."""
    home = tmp_path_factory.mktemp("pages")
    settings = Settings(home=home, start=START, timezone="America/New_York", _env_file=None)  # type: ignore[call-arg]
    with open_duckdb(settings.database_path) as warehouse:
        business = Business(warehouse)
        many_stores.fill(business, results=5_000)
        business.refuse()
        down = RunProblem(ProblemKind.SOURCE, "shopify", "Shopify: no answer", "See its status page")
        business.ran("cycle-2", many_stores.NOW, "failed", down)
        return write_page(warehouse, settings, many_stores.NOW).parent


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


class _Watched:
    """A page of the browser with all that it complained about, asked for and popped up."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.page: Page = browser.new_context(**options).new_page()
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(f"dialog {dialog.message}"))
        self.asked: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_loads_nothing_and_complains_of_nothing(
    browser: Browser, folder: Path, width: int, scheme: str
) -> None:
    watched = _Watched(browser, viewport={"width": width, "height": 900}, color_scheme=scheme)
    backgrounds = set()
    for name in ("index.html", "stores/17.html", "datasets/fct_orders.html"):
        address = (folder / name).as_uri()
        watched.page.goto(address)
        assert watched.asked == [address]
        watched.asked.clear()
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width, name
        backgrounds.add(watched.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert watched.said == []
    assert backgrounds == {"rgb(17, 22, 28)" if scheme == "dark" else "rgb(244, 245, 247)"}


def test_the_map_leads_from_a_gap_to_whom_to_ask_over_http(browser: Browser, folder: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Not on the terminal of the tests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        page = _Watched(browser).page
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        row = page.locator("tr[data-store='17']").first
        assert row.locator("rect.missing").count() == 1
        assert "Manager 17" in row.inner_text()
        cell = row.locator("svg.strip").bounding_box()
        assert cell is not None
        assert cell["width"] / many_stores.HOURS >= 1  # at least a pixel an hour
        row.locator("a").click()
        page.wait_for_url("**/stores/17.html")
        text = page.locator("main").inner_text()
        assert "Manager 17" in text
        assert "2026-03-11 20:00" in text
        page.locator("header a", has_text="all of it").click()
        page.wait_for_url("**/index.html")
        server.shutdown()


def test_filters_hide_what_nobody_looks_for_and_have_an_address(browser: Browser, folder: Path) -> None:
    from playwright.sync_api import expect

    page = _Watched(browser).page
    start = (folder / "index.html").as_uri()
    page.goto(start)
    rows = page.locator("tr[data-filtered='stores']:visible")
    assert rows.count() == many_stores.STORES
    page.fill("input[name=store]", "44")
    assert rows.count() == 1
    assert page.locator("[data-count=stores]").inner_text() == "1 of 120 shown"
    page.goto(f"{start}?owner=operations")
    shown = page.locator("article.problem:visible")
    assert [shown.nth(place).get_attribute("data-owner") for place in range(shown.count())] == ["operations"]
    page.click("button[type=reset]")
    expect(page.locator("article.problem:visible")).to_have_count(page.locator("article.problem").count())
    assert page.locator("article.problem").count() > 1


def test_names_of_stores_and_files_stay_text(browser: Browser, folder: Path) -> None:
    watched = _Watched(browser)
    for name in ("index.html", "stores/17.html", "stores/71.html"):
        watched.page.goto((folder / name).as_uri())
        assert watched.page.locator("img").count() == 0
        assert many_stores.HOSTILE in watched.page.locator("body").inner_text()
    assert watched.said == []


def test_a_page_turns_red_by_itself_when_the_next_one_has_not_come(browser: Browser, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, start=START, timezone="America/New_York", _env_file=None)  # type: ignore[call-arg]
    now = utc_now()
    with open_duckdb(settings.database_path) as warehouse:
        Business(warehouse)
        address = write_page(warehouse, settings, now).as_uri()
    page = _Watched(browser).page
    page.clock.install(time=now)
    page.goto(address)
    banner = page.locator(".too-old")
    assert not banner.is_visible()
    page.clock.fast_forward(timedelta(minutes=89).seconds * 1000)
    assert not banner.is_visible()
    page.clock.fast_forward(timedelta(minutes=2).seconds * 1000)
    assert banner.is_visible()
    assert "too old" in banner.inner_text()
    assert page.title().startswith("OVERDUE: ")


def test_without_a_script_everything_can_be_read(browser: Browser, folder: Path) -> None:
    page = _Watched(browser, java_script_enabled=False).page
    page.goto((folder / "index.html").as_uri())
    assert page.locator("tr[data-filtered='stores']:visible").count() == many_stores.STORES
    assert page.locator("svg.chart").count() >= 1
    assert not page.locator("#filters").is_visible()
