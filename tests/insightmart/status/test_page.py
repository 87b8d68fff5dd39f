"""The status page: what it says of a warehouse in a given state, and that it is safe and complete in itself."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from datetime import date, datetime
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ingestion.warehouse import open_duckdb
from insightmart.certification.verdict import Verdict
from insightmart.cli import cli
from insightmart.definitions.files import METRICS
from insightmart.definitions.metrics import read_metrics
from insightmart.errors import InsightMartError
from insightmart.settings import PROJECT, Settings
from insightmart.status.facts import gather
from insightmart.status.page import headline, page, write_page

if TYPE_CHECKING:
    from conftest import Business

AS_OF = datetime(2026, 3, 6, 17, 5)
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class _Text(HTMLParser):
    """What a reader sees, and which tags there are."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())


def _read(business: Business, settings: Settings) -> str:
    return _Text(page(gather(business.warehouse, settings, AS_OF))).text


def test_a_warehouse_without_any_table_is_described_not_a_crash(settings: Settings) -> None:
    with open_duckdb(settings.database_path) as warehouse:
        facts = gather(warehouse, settings, AS_OF)
    text = _Text(page(facts)).text
    assert {state.verdict for state in facts.parts} == {Verdict.MISSING}
    assert len(facts.missing_tables) == 13
    assert "Nothing has been loaded yet." in text
    assert "never loaded: oltp.orders, oltp.order_lines, oltp.refunds" in text
    assert "does not exist yet" in text


def test_everything_certified_is_said_in_one_line(business: Business, settings: Settings) -> None:
    facts = gather(business.warehouse, settings, AS_OF)
    assert headline(facts) == "All certified data can be trusted"
    assert facts.problems == []
    assert facts.through == datetime(2026, 3, 6, 17)
    text = _Text(page(facts)).text
    assert "Everything that happened before 2026-03-06 17:00 UTC is certified" in text
    assert "Nothing. Every gate passed, every source is in, and all totals tie." in text


def test_a_refused_window_is_named_with_check_threshold_owner_and_cure(business: Business, settings: Settings) -> None:
    business.refuse("sales__oltp", since=datetime(2026, 3, 6, 16))
    facts = gather(business.warehouse, settings, AS_OF)
    assert headline(facts) == "Sales (store and phone): held back"
    assert [state.part.name for state in facts.held_back] == ["sales (store and phone)"]
    assert facts.held_back[0].held_since == datetime(2026, 3, 6, 16)
    assert [state.part.name for state in facts.unaffected] == [
        "sales (online)",
        "inventory (stores)",
        "inventory (online)",
        "customers",
        "products",
        "stores",
    ]
    text = _Text(page(facts)).text
    assert "few order lines are rejected (found 41.18, allowed <= 20)" in text
    assert "insightmart quarantine list --entity oltp_order_lines" in text
    assert "Owner operations" in text
    assert "Sales (store and phone) held back since 2026-03-06 16:00 UTC" in text
    verdicts = {state.dataset.table: state.verdict for state in facts.datasets}
    assert verdicts["fct_orders"] is Verdict.HELD_BACK
    assert verdicts["fct_inventory"] is Verdict.TRUSTED


def test_a_refused_correction_leaves_what_is_certified_in_place(business: Business, settings: Settings) -> None:
    business.scanned(
        "sales__oltp", datetime(2026, 3, 5, 9), datetime(2026, 3, 5, 11), {"no negative price": ("fail", "-5", "")}
    )
    business.correction(attempts=2, last_error="gate.sales__oltp: no negative price (found -5)")
    facts = gather(business.warehouse, settings, AS_OF)
    assert facts.held_back == []
    assert headline(facts) == "Certified; late corrections are pending"
    assert [problem.title for problem in facts.problems] == ["1 late correction not certified"]
    assert "no negative price (found -5)" in facts.problems[0].what


def test_corrections_that_passed_do_not_hide_a_refused_hour(business: Business, settings: Settings) -> None:
    business.refuse("sales__oltp", since=datetime(2026, 3, 6, 16))
    # In every cycle older windows are restated, and scanned, before the hour that is due.
    business.scanned("sales__oltp", datetime(2026, 3, 6, 9), datetime(2026, 3, 6, 10), {"any": ("pass", "0", "")})
    assert [state.part.gate for state in gather(business.warehouse, settings, AS_OF).held_back] == ["sales__oltp"]


def test_scans_of_another_environment_say_nothing_about_prod(business: Business, settings: Settings) -> None:
    business.scanned("stores", datetime(2026, 3, 6, 17), datetime(2026, 3, 6, 18), {"any": ("fail", "1", "")})
    business.warehouse.execute("UPDATE ops.check_results SET environment = 'dev' WHERE outcome = 'fail'")
    assert gather(business.warehouse, settings, AS_OF).held_back == []


def test_a_source_that_is_down_makes_only_its_own_part_late(business: Business, settings: Settings) -> None:
    business.covered("shopify", "orders", datetime(2026, 3, 6, 14))
    error = "shopify: no proper answer: HTTP 503. Check it; the next run reads it again"
    business.ran(
        "cycle-2", AS_OF, "failed", f"{error}; gate.stores: refused; held back until then: certified.dim_stores"
    )
    facts = gather(business.warehouse, settings, AS_OF)
    assert headline(facts) == "Sales (online): late"
    late = next(state for state in facts.parts if state.verdict is Verdict.LATE)
    assert late.through == datetime(2026, 3, 6, 14)
    assert late.why == "the source shopify.orders was last read through 2026-03-06 14:00 UTC"
    assert facts.problems[0].what.endswith(f"UTC. Last error: {error}")


def test_a_fresh_failure_is_told_beside_a_refused_hour(business: Business, settings: Settings) -> None:
    business.refuse()
    error = "gate.sales__oltp: few order lines; shopify: HTTP 503. Check it; held back until then: certified.fct_orders"
    business.ran("cycle-2", AS_OF, "failed", error)
    problems = gather(business.warehouse, settings, AS_OF).problems
    assert [(problem.kind, problem.what) for problem in problems][1:] == [("failed", "shopify: HTTP 503. Check it")]


@pytest.mark.parametrize(("through", "verdict"), [(15, Verdict.LATE), (16, Verdict.TRUSTED)])
def test_ninety_minutes_behind_the_last_whole_hour_are_allowed(
    business: Business, settings: Settings, through: int, verdict: Verdict
) -> None:
    business.covered("stores", "inventory", datetime(2026, 3, 6, through))
    state = next(s for s in gather(business.warehouse, settings, AS_OF).parts if s.part.gate == "inventory__stores")
    assert (state.verdict, state.through) == (verdict, datetime(2026, 3, 6, through))


def test_restating_the_first_hour_of_a_long_window_does_not_uncertify_the_others(
    business: Business, settings: Settings
) -> None:
    business.warehouse.execute("UPDATE gate.sales__oltp SET window_end = '2026-03-05 01:00'")
    evaluated = {"model": "gate.sales__oltp", "status": "evaluated", "interval_end": datetime(2026, 3, 6, 17)}
    business.warehouse.insert("ops.run_intervals", [evaluated])
    assert gather(business.warehouse, settings, AS_OF).parts[0].through == datetime(2026, 3, 6, 17)


def test_missing_stores_are_listed_with_their_hours(business: Business, settings: Settings) -> None:
    for store, name in ((1, "Berlin"), (2, "Tokyo")):
        store_row = {"store_id": store, "store_name": name, "timezone": "Asia/Tokyo", "is_current": True}
        business.warehouse.insert("certified.dim_stores", [store_row | {"is_inferred": False}])
        reference = {"store_id": store, "timezone": "Asia/Tokyo", "reference_date": date(2026, 3, 5)}
        business.warehouse.insert("raw.stores_reference", [reference])
    hours = [datetime(2026, 3, 5, 17 + hour) if hour < 7 else datetime(2026, 3, 6, hour - 7) for hour in range(24)]
    seen = {"source": "stores", "entity": "inventory", "status": "loaded", "seen_at": AS_OF}
    files = [{**seen, "store_id": 1, "file_hour": hour} for hour in hours]
    business.warehouse.insert("ops.files", [*files, {**seen, "store_id": 2, "file_hour": hours[3]}])
    (missing,) = gather(business.warehouse, settings, AS_OF).missing_stores
    assert (missing.store_id, missing.store_name, missing.missing_hours, missing.expected_hours) == (2, "Tokyo", 23, 24)
    assert missing.last_hour == datetime(2026, 3, 5, 20)


def test_money_is_grouped_and_rounded_for_reading_only(business: Business, settings: Settings) -> None:
    day = {"business_date": date(2026, 3, 5), "store_id": 1, "channel": "store", "orders": 1234}
    amounts = dict.fromkeys(("discounts", "returns"), Decimal(0))
    net = dict.fromkeys(("gross_sales", "net_sales", "total_sales"), Decimal("9747747.9350"))
    business.warehouse.insert("certified.agg_sales_daily", [day | amounts | net])
    facts = gather(business.warehouse, settings, AS_OF)
    assert facts.sales[0].net_sales == Decimal("9747747.9350")
    assert "9,747,747.94" in _Text(page(facts)).text
    assert "1,234" in _Text(page(facts)).text


def test_values_from_files_and_errors_stay_text(business: Business, settings: Settings) -> None:
    hostile = "<script>alert(1)</script>\x1b[31m\u202e"
    business.rejected_file(f"inventory/{hostile}.csv", f"broken {hostile}", AS_OF)
    business.ran("cycle-2", AS_OF, "failed", f"stores: {hostile}")
    business.correction(attempts=1, last_error=hostile)
    html = page(gather(business.warehouse, settings, AS_OF))
    assert "script" not in {tag for tag, _ in _Text(html).tags}
    assert "&lt;script&gt;alert(1)" in html
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_the_page_loads_nothing_and_its_tables_have_captions_and_headers(
    business: Business, settings: Settings
) -> None:
    business.refuse()
    business.quarantined("oltp_orders", "currency_foreign", AS_OF)
    html = page(gather(business.warehouse, settings, AS_OF))
    tags = _Text(html).tags
    assert not {"script", "link", "img", "iframe", "form"} & {tag for tag, _ in tags}
    assert not re.search(r"https?://|url\(|@import", html)
    names = [tag for tag, _ in tags]
    assert names.count("table") == names.count("caption") == names.count("thead")
    assert all(attributes.get("scope") for tag, attributes in tags if tag == "th")
    assert ("html", {"lang": "en"}) in tags


def test_write_replaces_the_page_at_once_and_leaves_nothing_beside_it(business: Business, settings: Settings) -> None:
    first = write_page(business.warehouse, settings, AS_OF)
    old = first.stat().st_ino
    business.refuse()
    second = write_page(business.warehouse, settings, AS_OF)
    assert second == settings.home / "status" / "index.html"
    assert second.stat().st_ino != old
    assert "held back" in second.read_text(encoding="utf-8")
    assert os.listdir(second.parent) == ["index.html"]  # noqa: PTH208


def test_a_folder_that_cannot_be_made_is_an_error_with_a_cure(
    business: Business, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InsightMartError, match=r"cannot be written.*--out"):
        write_page(business.warehouse, settings, AS_OF, tmp_path / "file")


def test_the_command_writes_where_it_is_told(business: Business, settings: Settings, tmp_path: Path) -> None:
    business.warehouse.close()
    result = CliRunner().invoke(cli, ["status", "--out", str(tmp_path / "public"), "--as-of", "2026-03-06T17:05"])
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(tmp_path / "public" / "index.html")
    assert "2026-03-06 17:05 UTC" in (tmp_path / "public" / "index.html").read_text(encoding="utf-8")


def test_headings_of_sales_lead_to_the_definitions_of_the_metrics(business: Business, settings: Settings) -> None:
    day = {"business_date": date(2026, 3, 5), "store_id": 1, "channel": "store", "orders": 1}
    business.warehouse.insert("certified.agg_sales_daily", [day | {"gross_sales": Decimal(5), "net_sales": Decimal(4)}])
    shown = _Text(page(gather(business.warehouse, settings, AS_OF)))
    anchors = [attrs["href"] for tag, attrs in shown.tags if tag == "a" and (attrs["href"] or "").startswith("#")]
    assert anchors == [f"#metric-{name}" for name in ("orders", "gross_sales", "discounts", "returns", "net_sales")]
    assert {f"#{attrs['id']}" for _, attrs in shown.tags if "id" in attrs} >= set(anchors)
    for metric in read_metrics(PROJECT / METRICS):
        for text in (metric.title, metric.meaning, metric.formula, *metric.caveats):
            assert text in shown.text


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which is not installed here")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_the_page(business: Business, settings: Settings, tmp_path: Path, width: int) -> None:
    business.refuse()
    path = write_page(business.warehouse, settings, AS_OF)
    shot = tmp_path / "page.png"
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += [f"--window-size={width},2000", f"--screenshot={shot}", path.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)  # type: ignore[arg-type]
    picture = shot.read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert struct.unpack(">I", picture[16:20])[0] >= width
    assert len(picture) > 20_000  # an empty page of this size has about 9,000
