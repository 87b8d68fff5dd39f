"""Mails as a phone and a desk show them: taken from a real SMTP server, opened in Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from insightmart.alerts.incident_words import incident_message
from insightmart.alerts.incidents import what_to_tell
from insightmart.alerts.mail import deliver, mail_server
from insightmart.alerts.sending import compose, compose_incident
from insightmart.journal.figures import Surprise
from insightmart.ledger.chain import Head
from insightmart.quarantine.counts import RuleCount
from insightmart.settings import Settings
from insightmart.status.problems import needs_attention
from insightmart.status.report import Occasion, make_report
from insightmart.status.sales import SalesDay, Tills
from tests.support.inbox import Inbox
from tests.support.status_facts import AS_OF, late, refused, with_parts

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SHOTS = os.environ.get("SHOTS_OF_MAILS")  # a folder for pictures, for somebody who wants to look at them
ADDRESS = "https://status.example.com/"
HOSTILE = "<script>document.title='x'</script><img src=https://evil.example.com/a.png>"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which is not installed here"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def mails(inbox: Inbox, settings: Settings) -> dict[str, str]:
    """The HTML of mails with long, wide and hostile values in them, as the server got it."""
    day = SalesDay(
        (AS_OF - timedelta(days=1)).date(),
        274_123,
        *(Decimal(text) for text in ("6700000000.5", "10", "741.51", "6600001234.1234", "72612.98")),
        state="complete",
        tills=Tills(110, 9, 1),
    )
    waits = late("shopify.orders", "shopify.inventory", "shopify.products")
    facts = with_parts(
        sales__oltp=refused(check=HOSTILE), sales__shopify=waits, inventory__shopify=waits, products=waits
    )
    name = "a_rule_with_a_name_that_goes_on_and_on_and_never_has_a_blank_in_it"
    facts = replace(
        facts,
        sales=[replace(day, business_date=day.business_date - timedelta(days=ago)) for ago in range(8)],
        rejects=[RuleCount("stores_inventory", name, "", "error", "finance", 1_234_567, AS_OF, AS_OF)],
        surprises=[Surprise("agg_sales_daily", AS_OF.date(), "late rows", 1, Decimal("-5123456.99"), AS_OF)],
        ledger_head=Head(815, "9f" * 32),
    )
    assert settings.smtp_url is not None
    server = mail_server(settings.smtp_url.get_secret_value())
    held = next(problem for problem in needs_attention(facts) if problem.key == "held-back-sales-oltp")
    held = replace(held, stores=tuple(range(1, 121)), rows=12_345, money=Decimal("456789.1234"))
    (told,) = what_to_tell({}, [held], AS_OF, "here")
    said = incident_message(told, AS_OF, "USD", ADDRESS, "cycle-20260306T1705-1a2b3c4d")
    deliver(server, compose_incident(settings, told.incident, said, ["a@example.com"]), ["a@example.com"])
    deliver(server, compose(settings, make_report(facts, Occasion.DAILY, None, ADDRESS)), ["a@example.com"])
    return {
        name: message.get_body(("html",)).get_content()  # type: ignore[union-attr]
        for name, message in zip(("incident", "daily"), inbox.messages, strict=True)
    }


@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("width", [390, 800])
def test_a_mail_fits_its_screen_is_inert_and_asks_nobody_for_anything(
    browser: Browser, mails: dict[str, str], tmp_path: Path, width: int, is_dark: bool
) -> None:
    asked: list[str] = []
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme="dark" if is_dark else "light", is_mobile=width < 500
    )
    page.on("request", lambda request: asked.append(request.url))
    for name, html in mails.items():
        (tmp_path / f"{name}.html").write_text(html, encoding="utf-8")
        page.goto((tmp_path / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.title().startswith("[InsightMart]")
        assert page.locator("script, img").count() == 0
        assert HOSTILE in page.inner_text("body")
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/{name}-{width}{'-dark' if is_dark else ''}.png", full_page=True)
    assert [url for url in asked if not url.startswith("file:")] == []
    page.close()


def test_the_button_of_an_incident_opens_the_very_place(browser: Browser, mails: dict[str, str]) -> None:
    page = browser.new_page()
    page.set_content(mails["incident"])
    assert page.get_by_text("Open it on the status page").get_attribute("href") == (
        f"{ADDRESS}index.html#problem-held-back-sales-oltp"
    )
    text = page.inner_text("body")
    for said in ("12,345 rows, 456,789.12 USD and 120 stores", "and 100 more", "operations", "What to do"):
        assert said in text, said
    page.close()
