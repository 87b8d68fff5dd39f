"""`insightmart doctor`: configuration, credentials, reachability and versions, one line each, with the cure."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from insightmart.doctor.examination import CHECKS, examine
from insightmart.doctor.findings import exit_code
from insightmart.settings import load_settings

_MARKS = {
    "ok": ("ok", "green"),
    "note": ("note", "yellow"),
    "failed": ("FAIL", "red"),
    "not configured": ("SET", "red"),
}


@click.command()
@click.argument("checks", nargs=-1, type=click.Choice(CHECKS))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor_command(checks: tuple[str, ...], as_json: bool) -> int:
    """Check configuration, credentials, reachability and versions: one line each, with the cure.

    CHECKS narrow it to what was just put right.

    \b
    Examples:
      insightmart doctor
      insightmart doctor oltp shopify

    Exit codes: 0 all fine; 1 something failed; 2 a setting is missing or unusable.
    """
    findings = examine(load_settings(), checks)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
        return exit_code(findings)
    for finding in findings:
        sign, colour = _MARKS[finding.status]
        cure = f". {finding.cure}" if finding.cure else ""
        click.echo(f"{click.style(sign.ljust(4), fg=colour)}  {finding.check.ljust(9)}  {finding.detail}{cure}")
    return exit_code(findings)
