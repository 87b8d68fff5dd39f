"""What people get hour by hour: over real SMTP, of facts that are played."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from pydantic import SecretStr

from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.alerts.after_cycle import Telling, is_daily_due, tell
from insightmart.alerts.notifications import TellingSoFar
from insightmart.runs import ProblemKind, Run, RunProblem
from insightmart.settings import Settings
from insightmart.status.facts import Facts
from insightmart.status.sales import SalesDay, Tills
from tests.support.inbox import Inbox
from tests.support.status_facts import certified, cycle, late, refused, with_parts
from tests.support.web_hook import web_hook

HOUR = timedelta(hours=1)
FIRST = datetime(2026, 3, 6, 11, 5)  # 06:05 in New York
DOWN = RunProblem(ProblemKind.SOURCE, "shopify", "shopify: HTTP 503", "Check SHOPIFY_URL")

YESTERDAY = SalesDay(
    (FIRST - 24 * HOUR).date(),
    274,
    *map(Decimal, ("67000.50", "10", "741.51", "66000.1234", "72612.98")),
    "complete",
    Tills(23),
)

Hour = Callable[[int, Facts], Telling]


@pytest.fixture
def hour(settings: Settings, inbox: Inbox) -> Iterator[Hour]:
    """``hour(n, facts)``: the n-th hour after 06:05 in New York ends with these facts."""
    with open_duckdb(settings.database_path) as warehouse:
        create_tables(warehouse)

        def end(number: int, facts: Facts) -> Telling:
            return _end(warehouse, settings, number, facts)

        yield end


def _end(warehouse: Warehouse, settings: Settings, number: int, facts: Facts) -> Telling:
    as_of = FIRST + number * HOUR
    run = Run(f"cycle-{number}", "cycle", as_of)
    if facts.last_cycle:
        run.fail(facts.last_cycle.problems)
    return tell(warehouse, settings, replace(facts, as_of=as_of), run, as_of)


def _down(hours: int) -> Facts:
    """The shop has been down for some hours: first it could only not be read, then things are late."""
    waits = late("shopify.orders", "shopify.inventory", through=FIRST)
    facts = with_parts(sales__shopify=waits, inventory__shopify=waits) if hours >= 2 else certified()
    return replace(facts, last_cycle=cycle(DOWN))


def _said(inbox: Inbox) -> list[tuple[str, str]]:
    return [(str(message["From"]).partition(" <")[0], str(message["Subject"])) for message in inbox.messages]


def test_an_outage_of_twelve_hours_is_five_mails_in_one_thread(hour: Hour, inbox: Inbox) -> None:
    hour(0, certified(sales=[YESTERDAY]))
    assert _said(inbox) == [("InsightMart", "[InsightMart] daily: all certified through 2026-03-06 17:00 UTC")]
    inbox.messages.clear()
    told = {number: hour(number, _down(number - 1)).titles for number in range(1, 13)}
    told[13] = hour(13, certified()).titles
    assert {number: titles for number, titles in told.items() if titles} == {
        1: ["New: Shopify could not be read"],
        2: ["Still open: Shopify could not be read"],
        3: ["Worse: Sales (online) and inventory (online) late: certified through 2026-03-06 11:05 UTC"],
        7: ["Still open: Sales (online) and inventory (online) late: certified through 2026-03-06 11:05 UTC"],
        13: ["Recovered: Sales (online) and inventory (online) late: certified through 2026-03-06 11:05 UTC"],
    }
    first = inbox.messages[0]
    assert _said(inbox) == [
        ("InsightMart", "[InsightMart] Shopify could not be read"),
        ('"InsightMart: still open"', "Re: [InsightMart] Shopify could not be read"),
        ('"InsightMart: worse"', "Re: [InsightMart] Shopify could not be read"),
        ('"InsightMart: still open"', "Re: [InsightMart] Shopify could not be read"),
        ('"InsightMart: recovered"', "Re: [InsightMart] Shopify could not be read"),
    ]
    assert first["In-Reply-To"] is None
    assert {message["In-Reply-To"] for message in inbox.messages[1:]} == {first["Message-ID"]}
    assert all(message["References"].startswith(first["Message-ID"]) for message in inbox.messages[1:])
    assert len({message["Message-ID"] for message in inbox.messages}) == 5


def test_three_days_held_back_are_brought_to_mind_at_growing_intervals(hour: Hour, inbox: Inbox) -> None:
    facts = replace(with_parts(sales__oltp=refused()), sales=[YESTERDAY])
    told = [number for number in range(72) if any("held back" in title for title in hour(number, facts).titles)]
    assert told == [0, 1, 5, 17, 41, 65]
    assert sum("daily" in str(message["Subject"]) for message in inbox.messages) == 3


def test_what_comes_and_goes_every_other_hour_is_told_ever_less_often(hour: Hour, inbox: Inbox) -> None:
    hour(0, certified(sales=[YESTERDAY]))
    for number in range(1, 25):
        hour(number, certified(last_cycle=cycle(DOWN) if number % 2 else None))
    senders = [sender for sender, _ in _said(inbox)[1:]]
    assert senders == [
        "InsightMart",
        '"InsightMart: recovered"',
        '"InsightMart: back again"',
        '"InsightMart: recovered"',
        '"InsightMart: back again"',
        '"InsightMart: recovered"',
        '"InsightMart: back again"',
        '"InsightMart: recovered"',
    ]


def test_a_mail_says_what_somebody_on_call_needs(hour: Hour, inbox: Inbox, settings: Settings) -> None:
    settings.status_address = "https://status.example.com/shop"
    hour(0, replace(with_parts(sales__oltp=refused()), sales=[YESTERDAY]))
    message = next(one for one in inbox.messages if "held back" in str(one["Subject"]))
    assert message["Subject"] == "[InsightMart] Sales (store and phone) held back since 2026-03-06 16:00 UTC"
    text, html = (part.get_content() for part in message.iter_parts())  # type: ignore[attr-defined]
    for said in (
        "few order lines are rejected (found 41.18, allowed",
        "The certified sales tables show nothing of sales (store and phone) after 2026-03-06 16:00 UTC",
        "insightmart quarantine list --entity oltp_order_lines",
        "operations",
        "https://status.example.com/shop/index.html#problem-held-back-sales-oltp",
        "otherwise in 1 hour",
    ):
        assert said in text, said
        assert said in html, said
    assert 'href="https://status.example.com/shop/runs/cycle-0.html"' in html
    assert "<style" in html  # the rest of it, for small and for dark screens
    assert 'style="padding: 7px 10px;' in html


def test_the_daily_report_shows_yesterday_and_waits_for_it(settings: Settings) -> None:
    early, due = datetime(2026, 3, 6, 10, 59), datetime(2026, 3, 6, 11, 5)
    nothing, open_day = TellingSoFar(), certified(sales=[replace(YESTERDAY, state="open")])
    complete = certified(sales=[YESTERDAY])
    assert not is_daily_due(settings, TellingSoFar(daily_at=datetime(2026, 3, 5, 11, 5)), complete, early)
    assert is_daily_due(settings, TellingSoFar(daily_at=datetime(2026, 3, 5, 11, 5)), complete, due)
    assert not is_daily_due(settings, TellingSoFar(daily_at=due), complete, due + HOUR)
    assert not is_daily_due(settings, nothing, open_day, due)
    assert is_daily_due(settings, nothing, open_day, due + 3 * HOUR)


def test_the_daily_report_shows_the_last_complete_day(hour: Hour, inbox: Inbox) -> None:
    today = replace(YESTERDAY, business_date=FIRST.date(), state="open", net_sales=Decimal("1.00"))
    week = replace(YESTERDAY, business_date=YESTERDAY.business_date - timedelta(days=7), net_sales=Decimal("50000"))
    hour(0, certified(sales=[today, YESTERDAY, week]))
    (message,) = inbox.messages
    text = message.get_body(("plain",)).get_content().replace("\r\n", "\n")  # type: ignore[union-attr]
    assert "LAST COMPLETE BUSINESS DAY: Thursday, 2026-03-05 (USD)\n  net sales 66,000.12, orders 274," in text
    assert "a week before: net sales 50,000.00; store tills: 23 tie" in text
    html = message.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "Thursday, 2026-03-05: the last complete business day" in html


def test_a_value_that_no_template_takes_leaves_a_mail_that_says_so(hour: Hour, inbox: Inbox) -> None:
    broken = replace(YESTERDAY, net_sales="much")  # type: ignore[arg-type]
    hour(0, replace(with_parts(sales__oltp=refused()), sales=[broken]))
    daily = next(message for message in inbox.messages if "daily" in str(message["Subject"]))
    for kind in ("plain", "html"):
        said = daily.get_body((kind,)).get_content()  # type: ignore[union-attr]
        assert "Sales (store and phone) held back since 2026-03-06 16:00 UTC" in said
        assert "The rest is unknown: it could not be put into words." in said


def test_nobody_is_told_and_nothing_fails_where_nobody_is_named(hour: Hour, inbox: Inbox, settings: Settings) -> None:
    settings.report_to = None
    assert hour(0, with_parts(sales__oltp=refused())) == Telling()
    settings.report_to, settings.smtp_url = "a@example.com", None
    assert hour(1, with_parts(sales__oltp=refused())) == Telling()
    assert not (settings.home / "outbox").exists()


def test_an_address_that_is_none_is_named_and_the_others_are_told(hour: Hour, inbox: Inbox, settings: Settings) -> None:
    settings.report_to, settings.report_from = "data@example.com, nobody, ops@example.com", "InsightMart"
    telling = hour(0, with_parts(sales__oltp=refused()))
    assert [problem.message for problem in telling.notices] == [
        "REPORT_TO: 'nobody' is no mail address",
        "REPORT_FROM: 'InsightMart' is no mail address; insightmart@localhost is",
    ]
    assert telling.problems == []
    assert inbox.envelopes[0].rcpt_tos == ["data@example.com", "ops@example.com"]


def test_a_mail_that_nobody_took_goes_out_later_in_order_and_once(hour: Hour, inbox: Inbox, settings: Settings) -> None:
    inbox.answers = ["451 later"] * 2
    held, both = with_parts(sales__oltp=refused()), with_parts(sales__oltp=refused(), stores=refused())
    telling = hour(0, held)
    assert inbox.messages == []
    (unsent,) = telling.problems
    assert (
        "Sales (store and phone) held back since 2026-03-06 16:00 UTC' yet: it answered with code 451" in unsent.message
    )
    (kept,) = (settings.home / "outbox").glob("*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert (settings.home / "outbox").stat().st_mode & 0o777 == 0o700
    assert hour(1, both).problems == []
    assert [subject.partition(" since")[0] for _, subject in _said(inbox)] == [
        "[InsightMart] Sales (store and phone) held back",
        "[InsightMart] Stores held back",
        "Re: [InsightMart] Sales (store and phone) held back",
    ]
    assert list((settings.home / "outbox").glob("*.json")) == []
    assert hour(2, both).titles == ["Still open: Stores held back since 2026-03-06 16:00 UTC"]


def test_a_full_mailbox_keeps_no_other_mail_back(hour: Hour, inbox: Inbox, settings: Settings) -> None:
    """Of two mails the server does not take the first, whenever it is offered."""
    inbox.answers = ["452 full", "250 OK", "452 full"]
    (unsent,) = hour(0, with_parts(sales__oltp=refused(), stores=refused())).problems
    assert "yet: it answered with code 452" in unsent.message
    assert [subject for _, subject in _said(inbox)] == ["[InsightMart] Stores held back since 2026-03-06 16:00 UTC"]
    assert len(list((settings.home / "outbox").glob("*.json"))) == 1


def test_a_mail_that_no_server_will_ever_take_holds_up_no_other(hour: Hour, inbox: Inbox, settings: Settings) -> None:
    inbox.answers = ["554 spam"]
    (never,) = hour(0, with_parts(sales__oltp=refused(), stores=refused())).problems
    assert "will never take '[InsightMart] Sales (store and phone) held back" in never.message
    assert [subject for _, subject in _said(inbox)] == ["[InsightMart] Stores held back since 2026-03-06 16:00 UTC"]
    assert len(list((settings.home / "outbox" / "undeliverable").glob("*.json"))) == 1


def test_a_server_that_hangs_costs_a_bounded_time(
    hour: Hour, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insightmart.alerts.mail.TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections are taken in, and never answered
        settings.smtp_url = SecretStr(f"smtp://127.0.0.1:{silent.getsockname()[1]}")
        begun = time.monotonic()
        (unsent,) = hour(0, with_parts(sales__oltp=refused(), stores=refused())).problems
    assert time.monotonic() - begun < 5
    assert unsent.message.endswith("no answer in time; 2 mails wait in the outbox")


def test_chat_and_paging_hear_of_it_by_route_and_later_when_they_did_not_answer(
    hour: Hour, inbox: Inbox, settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    route = "routes:\n - {name: paging, severity: bad, apprise: [ONCALL_URL]}\n"
    (settings.home / "routes.yml").write_text(route, encoding="utf-8")
    held = replace(with_parts(sales__oltp=refused(), sales__shopify=late("shopify.orders")), sales=[YESTERDAY])
    with web_hook() as hook:
        monkeypatch.setenv("ONCALL_URL", f"json://{hook.at}/hook/s3cret")
        hook.statuses = [500]
        (unsent,) = hour(0, held).problems
        assert unsent.message == "the address in ONCALL_URL did not take a message; it is kept"
        assert hour(1, held).problems == []
        assert hour(2, certified(sales=[YESTERDAY])).problems == []
    said = [json.loads(body) for _, path, body in hook.requests if path == "/hook/s3cret"]
    title = "Sales (store and phone) held back since 2026-03-06 16:00 UTC"
    assert [one["title"] for one in said] == [f"New: {title}", f"Still open: {title}", f"Recovered: {title}"]
    assert [one["type"] for one in said] == ["failure", "failure", "success"]
    assert "insightmart quarantine list --entity oltp_order_lines" in said[0]["message"]
    # what the route did not ask for, and the daily report, went to REPORT_TO
    assert {subject.removeprefix("Re: ").partition(":")[0] for _, subject in _said(inbox)} == {
        "[InsightMart] Sales (online) late",
        "[InsightMart] daily",
    }
    output = capfd.readouterr()
    kept = "".join(path.read_text(encoding="utf-8") for path in (settings.home / "outbox").rglob("*.json"))
    assert "s3cret" not in output.out + output.err + unsent.line + kept
