"""`insightmart sandbox`: the pipeline's sources, with their real protocols, on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

import click

if TYPE_CHECKING:  # imported inside the commands, so that --help and env answer at once
    from sandbox.state import SandboxState

SHELL_QUOTE = "'\"'\"'"
# Settings of which `env` makes no word: the clock moves by itself, and a proxy's exceptions are added to.
EXTENDED = {"INSIGHTMART_AS_OF", "NO_PROXY", "no_proxy"}


class OneLineErrors(click.Group):
    """Shows a failure as one line on stderr, exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        from sandbox.state import SandboxError

        try:
            return super().invoke(ctx)
        except SandboxError as error:
            _fail(str(error))
        except BrokenPipeError:
            raise
        except OSError as error:
            _fail(f"{error}. Make room or give access there, or set INSIGHTMART_HOME to another directory")


def _known_size(context: click.Context, parameter: click.Parameter, size: str) -> str:
    from sandbox.events.sizes import size_of

    try:
        size_of(size)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return size


def _fail(reason: str) -> Never:
    click.echo(f"sandbox: {reason}", err=True)
    sys.exit(1)


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """PostgreSQL, an S3 endpoint, a Shopify shop and a mail inbox on this machine, filled by a simulated business.

    \b
    insightmart sandbox up                   start everything, with one day of history
    eval "$(insightmart sandbox env)"        point this shell at it
    insightmart cycle                        run the pipeline
    insightmart sandbox advance --hours 6    let six hours of business happen, then run the next cycle
    insightmart sandbox truth                what the certified tables must hold
    insightmart sandbox down                 stop everything

    It listens on 127.0.0.1 only, keeps its files under $INSIGHTMART_HOME/sandbox (default: var/sandbox), and ends with
    the shell that started it, or after 24 hours.
    """


@main.command()
@click.option(
    "--empty", is_flag=True, help="Tables, bucket, shop and inbox exist and hold nothing: load your own data."
)
@click.option(
    "--size",
    metavar="tiny|demo|FACTOR",
    default="demo",
    show_default=True,
    callback=_known_size,
    help="Volume of the business; 2.5 is two and a half times demo.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", default=1, show_default=True, help="Same seed, same business."
)
@click.option(
    "--start",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="First day.  [default: 2026-03-05; empty: 30 days ago]",
)
@click.option(
    "--preload-hours", type=click.IntRange(min=0), metavar="N", default=24, show_default=True, help="Hours of history."
)
@click.option(
    "--parent", type=click.IntRange(min=0), help="End with this process; 0: none.  [default: the session's leader]"
)
def up(empty: bool, size: str, seed: int, start: datetime | None, preload_hours: int, parent: int | None) -> None:
    """Start the sandbox and fill it.

    The same size, seed and start make the same business, hour by hour, on every machine. A sandbox that already runs
    is left as it is; what a crashed one left behind is cleared away.
    """
    from sandbox.servers import services
    from sandbox.state import default_start, home_directory, midnight, this_hour

    home = home_directory()
    with _exclusive(home):
        if _is_running(home):
            return
        watched = services.watched_process(parent)
        first_day = start.date() if start else default_start(empty)
        clock = this_hour() if empty else midnight(first_day)
        state = _new_state(home, empty=empty, size=size, seed=seed, start=first_day, clock=clock)
        try:
            with ThreadPoolExecutor(1) as thread:
                if not empty:
                    thread.submit(import_module, "sandbox.publish")  # a second's work, done while the services start
                state = services.start(state, watched)
            if not empty:
                _publish(state, preload_hours)
                _say_what(state)
                state.phase = "ready"
                state.save()
        except BaseException:
            _abandon(home)
            raise
    _say_where(state)


@main.command()
def down() -> None:
    """Stop the sandbox.

    Its data goes; e-mails and logs stay until the next `up`. Does nothing, and succeeds, where none is running.
    """
    from sandbox.servers import services
    from sandbox.state import NotRunning, SandboxState, home_directory

    with contextlib.suppress(NotRunning):
        services.stop(SandboxState.load(home_directory()))
        click.echo("The sandbox is down.")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of shell lines.")
def env(as_json: bool) -> None:
    """Print the settings that point the pipeline at it.

    \b
    eval "$(insightmart sandbox env)"

    They replace what the shell has; which settings had another value is said on standard error.

    They include passwords, and the sandbox's clock as INSIGHTMART_AS_OF: evaluate them again after `advance`.
    """
    settings = _running().environment()
    if as_json:
        click.echo(json.dumps(settings, indent=1))
        return
    replaced = [
        name for name, value in settings.items() if name not in EXTENDED and os.environ.get(name, value) != value
    ]
    if replaced:
        click.echo(
            f"sandbox: this replaces the value that this shell has for {', '.join(replaced)}."
            " To keep it, point another shell at the sandbox",
            err=True,
        )
    for name, value in settings.items():
        quoted = value.replace("'", SHELL_QUOTE)
        click.echo(f"export {name}='{quoted}'")


@main.command()
@click.option("--hours", type=click.IntRange(min=1), metavar="N", required=True, help="How far to move the clock.")
def advance(hours: int) -> None:
    """Let hours of business happen.

    Orders, refunds, store files, late corrections and faults appear in the sources hour by hour. Interrupted, it stands
    at the last complete hour.
    """
    from sandbox.state import home_directory

    with _exclusive(home_directory()):
        state = _running()
        if state.empty:
            state.clock += timedelta(hours=hours)
            state.save()
        else:
            _publish(state, hours)
    click.echo(f"It is {_instant(state.clock)} in the sandbox.")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON; a pipe gets that anyway.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the JSON to this file instead.")
def truth(as_json: bool, out: Path | None) -> None:
    """Print what the certified tables must hold by now.

    Computed from the generated events up to the clock, never from the sources or from SQL. A terminal gets rows and
    sums a table; the JSON has every figure, and every planted fault with what is expected of the pipeline.
    """
    from sandbox.state import SandboxError

    state = _running()
    if state.empty:
        raise SandboxError("this sandbox was started with --empty: only generated data has a known truth")
    from sandbox.truth.certified import truth as expected

    figures = expected(state.seed, state.size, state.start, state.clock)
    if out:
        out.write_text(json.dumps(figures, indent=1) + "\n")
    elif as_json or not sys.stdout.isatty():
        click.echo(json.dumps(figures, indent=1))
    else:
        _show_certified(figures)


@main.command()
def status() -> None:
    """Show services, clock and contents."""
    from sandbox.contents import count
    from sandbox.servers import services

    state = _running()
    kind = "empty" if state.empty else f"size {state.size}, seed {state.seed}, from {state.start}"
    click.echo(f"{_instant(state.clock)}  {kind}")
    for service, answers in services.answering(state).items():
        click.echo(
            f"  {service:<12} {'answers' if answers else 'DOES NOT ANSWER: see the logs in ' + str(state.directory)}"
        )
    for content, number in count(state).items():
        click.echo(f"  {number:>12,} {content}")


def _publish(state: SandboxState, hours: int) -> None:
    """Let hours of business happen, moving the clock after each. Raises SandboxError when a source fails."""
    import sqlite3

    import psycopg
    from botocore.exceptions import BotoCoreError, ClientError

    from sandbox.publish import publish
    from sandbox.state import SandboxError

    upto = state.clock + timedelta(hours=hours)

    def done(hour: datetime) -> None:
        state.clock = hour
        state.save()
        _show_progress(hour, upto)

    try:
        publish(state, upto, done)
    except (psycopg.Error, BotoCoreError, ClientError, sqlite3.Error) as error:
        cause = "it has been stopped" if state.supervisor is None else " ".join(str(error).split())
        raise SandboxError(
            f"the sandbox could not be filled beyond {_instant(state.clock)}: {cause}. "
            f"Its logs are in {state.directory}; `down`, then `up` starts afresh"
        ) from None


def _show_progress(hour: datetime, upto: datetime) -> None:
    """The hour that is done: on one line of a terminal, otherwise a line a day."""
    if sys.stderr.isatty():
        click.echo(f"\r{_instant(hour)} of {_instant(upto)}", err=True, nl=hour == upto)
    elif hour.hour == 0 or hour == upto:
        click.echo(f"{_instant(hour)} of {_instant(upto)}", err=True)


def _show_certified(figures: dict[str, Any]) -> None:
    """Rows and sums of each certified table, one line a figure."""
    click.echo(f"At {figures['clock']} the certified tables must hold:")
    for table, content in figures["certified"].items():
        click.echo(f"  {table:<22}{'rows':<28}{content['rows']:>20}")
        for measure, value in content["sums"].items():
            click.echo(f"  {'':<22}{measure:<28}{value:>20}")
    click.echo(f"{len(figures['planted'])} planted faults and corrections: see `insightmart sandbox truth --json`")


@contextlib.contextmanager
def _exclusive(home: Path) -> Iterator[None]:
    """One command at a time changes a sandbox. Raises SandboxError when another one does."""
    from filelock import FileLock, Timeout

    from sandbox.state import SandboxError, sandbox_directory

    directory = sandbox_directory(home)
    if (directory / "__main__.py").exists():
        raise SandboxError(f"INSIGHTMART_HOME is {home}, which holds the program itself: set it to another directory")
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(directory / "sandbox.lock", timeout=0):
            yield
    except Timeout:
        raise SandboxError(f"another `insightmart sandbox` command is at work in {home}: wait for it to end") from None


def _running() -> SandboxState:
    from sandbox.state import SandboxState, home_directory

    state = SandboxState.load(home_directory())
    state.require_ready()
    return state


def _is_running(home: Path) -> bool:
    """Whether a sandbox runs already, which is then said; a broken one is cleared away. Raises SandboxError."""
    from sandbox.servers import services
    from sandbox.state import NotRunning, SandboxError, SandboxState

    try:
        state = SandboxState.load(home)
    except NotRunning:
        return False
    if state.supervisor is None or state.phase != "ready":
        click.echo("Clearing away what an interrupted sandbox left behind.")
        services.stop(state)
        return False
    if silent := [service for service, answers in services.answering(state).items() if not answers]:
        raise SandboxError(f"the sandbox in {home} runs, but {' and '.join(silent)} not: `down`, then `up` again")
    click.echo("A sandbox is already running here; for another one, `down` first or set INSIGHTMART_HOME.")
    _say_where(state)
    return True


def _new_state(home: Path, **description: Any) -> SandboxState:
    """Make an empty directory for the server and write the first state file, with new passwords."""
    from sandbox.servers import postgres
    from sandbox.state import SandboxState, sandbox_directory

    directory = sandbox_directory(home)
    for leftover in (*directory.glob("*.log"), *directory.glob("inbox/*.eml")):
        leftover.unlink()
    shutil.rmtree(directory / "postgres", ignore_errors=True)
    state = SandboxState(
        home=home,
        postgres_dir=postgres.choose_directory(directory / "postgres"),
        admin_password=secrets.token_urlsafe(24),
        reader_password=secrets.token_urlsafe(24),
        aws_access_key_id="AKIA" + secrets.token_hex(8).upper(),
        aws_secret_access_key=secrets.token_urlsafe(30),
        shopify_token="shpat_" + secrets.token_hex(16),
        **description,
    )
    state.save()
    return state


def _abandon(home: Path) -> None:
    """Stop a sandbox that did not come up; why it did not is what the caller reports."""
    from sandbox.servers import services
    from sandbox.state import SandboxError, SandboxState

    with contextlib.suppress(SandboxError):
        services.stop(SandboxState.load(home))


def _say_what(state: SandboxState) -> None:
    from sandbox.contents import count

    click.echo("Filled: " + ", ".join(f"{number:,} {content}" for content, number in count(state).items() if number))


def _say_where(state: SandboxState) -> None:
    kind = "empty" if state.empty else f"size {state.size}, seed {state.seed}, {state.start} to {_instant(state.clock)}"
    click.echo(f"The sandbox is up: {kind}. Mails land in {state.inbox}")
    click.echo('Point this shell at it:  eval "$(insightmart sandbox env)"')


def _instant(clock: datetime) -> str:
    return clock.strftime("%Y-%m-%dT%H:%MZ")


if __name__ == "__main__":
    main(prog_name="insightmart sandbox")
