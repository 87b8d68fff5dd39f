"""The `insightmart` command. Commands are imported when they are called, so that `--help` is quick."""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

import click

from insightmart.errors import FAILED, USAGE, InsightMartError, of_this_machine
from insightmart.kept_private import close_home, keep_process_private
from insightmart.standard_streams import prepare_streams

# name -> (module, function, one line of help): the help is kept here so that listing the commands imports none of them.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo": (
        "insightmart.commands.demo",
        "demo",
        "Play the whole story on a sandbox and tie every total to the truth.",
    ),
    "sandbox": (
        "insightmart.commands.sandbox",
        "sandbox",
        "The three sources and a mail inbox on this machine, for trying things.",
    ),
    "setup": (
        "insightmart.commands.setup",
        "setup_command",
        "Make a warehouse ready for this version of the code; says first what is missing.",
    ),
    "ingest": ("insightmart.commands.ingest", "ingest_command", "Load what is new at the sources, or a given window."),
    "backfill": (
        "insightmart.commands.backfill",
        "backfill_command",
        "Reload a window that a source missed, in pieces.",
    ),
    "cycle": (
        "insightmart.commands.cycle",
        "cycle_command",
        "The hourly job: ingest, corrections, models, reconciliation, reports.",
    ),
    "restate": (
        "insightmart.commands.restate",
        "restate_command",
        "Rebuild a window of a model and everything below it.",
    ),
    "promote": (
        "insightmart.commands.promote",
        "promote_command",
        "Publish a reviewed change as an environment has built it.",
    ),
    "quarantine": ("insightmart.commands.quarantine", "quarantine", "Rejected rows and files, with their reasons."),
    "deletions": (
        "insightmart.commands.deletions",
        "deletions",
        "Rows that vanished at a source: what is asked, and the answer.",
    ),
    "reconcile": (
        "insightmart.commands.reconcile",
        "reconcile_command",
        "Tie control totals from the sources to the certified tables.",
    ),
    "ledger": (
        "insightmart.commands.ledger",
        "ledger",
        "What was done and by whom, and whether anybody has changed it since.",
    ),
    "close": (
        "insightmart.commands.close",
        "close_command",
        "Close a month for finance: freeze its figures, and keep what changes since as adjustments.",
    ),
    "retention": (
        "insightmart.commands.retention",
        "retention_command",
        "Delete what is older than it may be; shows it first.",
    ),
    "backup": (
        "insightmart.commands.backup",
        "backup_command",
        "Copy the local warehouse and SQLMesh's state, of one moment.",
    ),
    "restore": (
        "insightmart.commands.restore",
        "restore_command",
        "Put the last good copy of warehouse and state back, both together.",
    ),
    "erase": (
        "insightmart.commands.erase",
        "erase_command",
        "Erase the personal data of a customer; orders, money and keys stay.",
    ),
    "extract": (
        "insightmart.commands.extract",
        "extract_command",
        "Write the certified subjects as files for Tableau.",
    ),
    "explain": (
        "insightmart.commands.explain",
        "explain_command",
        "Where a figure, an order or the state of a store comes from.",
    ),
    "lineage": (
        "insightmart.commands.lineage",
        "lineage_command",
        "Where a column comes from, down to its source, and what is made of it.",
    ),
    "reproduce": (
        "insightmart.commands.reproduce",
        "reproduce_command",
        "Compute a published figure again, from what was loaded by then, and compare.",
    ),
    "history": (
        "insightmart.commands.history",
        "history_command",
        "The life of a published figure: when it changed, from what to what, and why.",
    ),
    "sql": ("insightmart.commands.sql", "sql_command", "Ask the warehouse a question; reads only."),
    "report": (
        "insightmart.commands.report",
        "report_command",
        "What failed, what it holds back, what to do; as text or mail.",
    ),
    "status": ("insightmart.commands.status", "status_command", "Write the static status pages."),
    "ui": ("insightmart.commands.ui", "ui_command", "Open the status page and the documentation in the browser."),
    "completion": (
        "insightmart.commands.completion",
        "completion_command",
        "What a shell has to be told to complete commands and options.",
    ),
    "sqlmesh": (
        "insightmart.commands.sqlmesh",
        "sqlmesh_command",
        "SQLMesh with this project's changes to it, and with settings that Secrets Manager keeps.",
    ),
    "cost": (
        "insightmart.commands.cost",
        "cost_command",
        "What a month costs: estimated from measurements, or as Snowflake metered it.",
    ),
    "doctor": (
        "insightmart.commands.doctor",
        "doctor_command",
        "Check configuration, credentials, reachability and versions.",
    ),
    "smoke": (
        "insightmart.commands.smoke",
        "smoke_command",
        "Try a Snowflake account: sessions, statements, types, files, rights, plans.",
    ),
}

OF_THIS_MACHINE = {"demo", "sandbox", "ui", "completion"}  # their lines are of no use elsewhere


class LazyCommands(click.Group):
    """A group whose commands live in modules of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="insightmart")
@click.option("--debug", is_flag=True, help="Show tracebacks and the libraries' own log lines.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """InsightMart's data pipeline: sources -> raw -> staging -> core -> gate -> certified.

    Models are planned and run with `sqlmesh` as in any SQLMesh project; this command adds ingestion, the queue of late
    corrections, evidence and reports. Start with `insightmart demo`, or `insightmart doctor` on your own sources.

    Exit codes: 0 done, 1 a gate, a source or a step failed, 2 wrong usage or configuration, 75 another cycle runs.
    """
    ctx.ensure_object(dict)["debug"] = debug


def main() -> None:
    """Console script: run the command and turn an expected failure into one line and its exit code."""
    from insightmart.logs import configure_logging, show_tracebacks_without_secrets

    prepare_streams()
    keep_process_private()
    debug = "--debug" in sys.argv
    configure_logging(debug)
    show_tracebacks_without_secrets()
    put_lines = _keep_lines()
    code: object = FAILED
    try:
        _run(debug)
    except SystemExit as ended:
        code = ended.code
        raise
    finally:
        put_lines()
        _leave_who_still_reads(code)


def _leave_who_still_reads(code: object) -> None:
    """End the process here where a source that was given up is still waited for: Python would do so for ever."""
    watchdog = sys.modules.get("insightmart.watchdog")
    if watchdog is not None and watchdog.is_kept_waiting():
        kind, error, frames = sys.exc_info()
        if kind is not None and error is not None and not isinstance(error, SystemExit):
            sys.excepthook(kind, error, frames)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else FAILED)


def _run(debug: bool) -> NoReturn:
    from insightmart.hidden_secrets import without_secrets
    from insightmart.logs import kept

    started = time.monotonic()
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        raise SystemExit(130) from None
    except click.ClickException as error:
        error.show()
        raise SystemExit(USAGE) from None
    except InsightMartError as error:
        kept("failed", error=str(error), exit_code=error.exit_code)
        if debug:
            raise
        click.echo(without_secrets(f"insightmart: {error}"), err=True)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        kept("failed", error=f"unexpected {type(error).__name__}: {error}", traceback=traceback.format_exc())
        if debug:
            raise
        line = str(error).splitlines()[0] if str(error) else ""
        known = of_this_machine(error)
        said = str(known) if known else f"unexpected {type(error).__name__}: {line} (run again with --debug)"
        click.echo(without_secrets(f"insightmart: {said}"), err=True)
        raise SystemExit(FAILED) from None
    code = code if isinstance(code, int) else 0
    kept("ended", exit_code=code, seconds=round(time.monotonic() - started, 3))
    raise SystemExit(code)


def _keep_lines() -> Callable[[], None]:
    """Lines of this command go to the home's log as well; settings that make no sense the command itself will name.

    Returns:
        To be called at its end: puts them where they outlive the disk of the home, if there is such a place.
    """
    from insightmart.logs import keep_log, kept, put_with
    from insightmart.settings import load_settings

    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    command = words[0] if words else ""
    try:
        settings = load_settings()
    except InsightMartError:
        keep_log(None)
        return lambda: None
    close_home(settings.home)
    is_put = settings.kept_url is not None and command in COMMANDS.keys() - OF_THIS_MACHINE
    keep_log(settings.home, put_as=command if is_put else "")
    kept("began", command=command)
    if not is_put:
        return lambda: None

    def put() -> None:
        from insightmart.kept_log import put_log

        put_log(settings, command)

    put_with(put)
    return put


if __name__ == "__main__":
    main()
