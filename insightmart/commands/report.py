"""`insightmart report`: what failed, what it holds back, what to do; as text, or as a mail."""

from __future__ import annotations

from datetime import datetime

import click

from insightmart.alerts.sending import page_address, send_report
from insightmart.commands.options import as_of_option, as_published_option
from insightmart.commands.session import acting_instant, reading
from insightmart.pages.site import as_json
from insightmart.pages.start import verdict
from insightmart.settings import load_settings
from insightmart.status.facts import gather
from insightmart.status.known_then import is_past, known_at, report_then
from insightmart.status.report import Occasion, make_report


@click.command()
@click.option("--email", is_flag=True, help="Mail it to REPORT_TO instead of printing it.")
@click.option("--json", "is_json", is_flag=True, help="Print the verdict, the parts and the problems as JSON.")
@as_published_option
@as_of_option
def report_command(email: bool, is_json: bool, as_published: datetime | None, as_of: datetime | None) -> None:
    """Say what failed, what it holds back and what to do: as text, or as a mail.

    The cycle mails the same report once a day, and a message of its own when something goes wrong, becomes worse or
    is over.

    Of the past, with --as-published or an --as-of since which something was published, it says what was known then: the
    figures as they were shown, what had changed, failed and waited. It is read out of the journal and the evidence.
    """
    settings = load_settings()
    now = acting_instant(settings, as_published or as_of)
    with reading(settings) as warehouse:
        if as_published or is_past(warehouse, now):
            if email or is_json:
                raise click.UsageError(
                    f"a report of the past is printed and not {'mailed' if email else 'made as JSON'}"
                )
            click.echo(report_then(known_at(warehouse, settings, now)).rstrip())
            return
        if email:
            click.echo(f"mailed to {settings.report_to}: {send_report(warehouse, settings, now, None)}")
            return
        facts = gather(warehouse, settings, now, is_report=True)
    if is_json:
        click.echo(as_json(verdict(facts)).rstrip())
        return
    click.echo(make_report(facts, Occasion.ASKED, facts.last_cycle, page_address(settings)).text.rstrip())
