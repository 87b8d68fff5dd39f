"""The status page: what it says of a warehouse in a given state, and that it is safe and complete in itself."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import struct
import subprocess
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from html import unescape
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
from insightmart.pages.site import write_page
from insightmart.pages.start import page
from insightmart.runs import ProblemKind, RunProblem
from insightmart.settings import PROJECT, Settings
from insightmart.status.facts import gather
from insightmart.status.headline import headline
from insightmart.status.problems import needs_attention

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
        if not {"style", "script"} & set(self.open):
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
    assert len(facts.missing_tables) == 14
    assert "Nothing has been loaded yet." in text
    assert "never loaded: oltp.orders, oltp.order_lines, oltp.refunds" in text
    assert "does not exist yet" in text


def test_everything_certified_is_said_in_one_line(business: Business, settings: Settings) -> None:
    facts = gather(business.warehouse, settings, AS_OF)
    assert headline(facts) == "All certified data can be trusted"
    assert needs_attention(facts) == []
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
    business.ran("cycle-2", AS_OF, "failed", RunProblem(ProblemKind.SOURCE, "stores", f"stores: {hostile}", hostile))
    business.correction(attempts=1, last_error=hostile)
    html = page(gather(business.warehouse, settings, AS_OF))
    assert [tag for tag, _ in _Text(html).tags].count("script") == 1  # the page's own; another one a browser refuses
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
    assert not {"link", "img", "iframe", "form"} & {tag for tag, _ in tags}
    assert not re.search(r"https?://|url\(|@import", html)
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'; base-uri 'none'" in unescape(html)
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
    assert {path.suffix for path in second.parent.rglob("*") if path.is_file()} == {".html", ".json"}


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


def test_a_value_that_no_template_can_take_leaves_a_page_that_says_what_is_known(
    business: Business, settings: Settings
) -> None:
    business.refuse()
    facts = gather(business.warehouse, settings, AS_OF)
    broken = replace(facts, loads=[7])  # type: ignore[list-item]
    text = _Text(page(broken)).text
    assert "Sales (store and phone): held back" in text
    assert "Sales (store and phone) held back since 2026-03-06 16:00 UTC" in text
    assert "the rest is unknown" in text
    assert "Loads by source" not in text


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
