"""`python -m bench.pages`: what the status pages of 120 stores cost to write, and to open in a browser."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import click

from insightmart.console_tables import print_table

LIMITS = {"written": 10.0, "opened": 2.0}  # seconds
RESULTS = 100_000  # of checks
HOURS = 365 * 24
REPEATS = 3


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(as_json: bool) -> int:
    """Write the pages of 120 stores, a year of hourly runs and 100,000 results of checks, and open the start page.

    Exit codes: 0 within the limits; 1 not.
    """
    import ingestion.stores.missing  # noqa: F401 imports dlt, which a cycle has done long before
    from ingestion.warehouse import open_duckdb
    from insightmart.pages.site import write_page
    from insightmart.settings import Settings
    from tests.support import many_stores
    from tests.support.handmade_warehouse import START, Business

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), start=START, _env_file=None)  # type: ignore[call-arg]
        with open_duckdb(settings.database_path) as warehouse:
            many_stores.fill(Business(warehouse), results=RESULTS)
            warehouse.execute(
                "INSERT INTO ops.runs (run_id, command, as_of, status, started_at, ended_at)"
                " SELECT 'cycle-' || range, 'cycle', began, 'succeeded', began, began + INTERVAL 40 SECOND"
                f" FROM (SELECT range, TIMESTAMP '{many_stores.NOW}' - range * INTERVAL 1 HOUR AS began"
                f" FROM range({HOURS}))"
            )
            path = Path(folder)

            def write() -> None:
                nonlocal path
                path = write_page(warehouse, settings, many_stores.NOW)

            first, again = _timed(write, 1), _timed(write, REPEATS)
        opened = _opened(path)
        found = {
            "pages": len(list(path.parent.rglob("*.html"))),
            "bytes of the start page": path.stat().st_size,
            "written, first in a process": first,
            "written": again,
            "opened": opened,
        }
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        print_table(
            "Status pages of 120 stores",
            ["what", "found>", "limit>", "of the limit>"],
            [[name, _said(value), *_against(name, value)] for name, value in found.items()],
        )
    is_within = max(first, again) <= LIMITS["written"] and (opened or 0) <= LIMITS["opened"]
    return 0 if is_within else 1


def _timed(work: Callable[[], None], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def _opened(path: Path) -> float | None:
    """Seconds until Chromium has shown the start page; None without one."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        return None
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})

        def show() -> None:
            page.goto(path.as_uri())
            page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

        seconds = _timed(show, REPEATS)
        browser.close()
    return seconds


def _said(value: float | None) -> str:
    if value is None:
        return "no Chromium here"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f} s"


def _against(name: str, value: float | None) -> list[str]:
    limit = LIMITS.get(name.split(",")[0])
    return ["", ""] if limit is None or value is None else [f"{limit:.0f} s", f"{value / limit:.2f}"]


if __name__ == "__main__":
    raise SystemExit(main(standalone_mode=False))
