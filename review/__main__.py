"""`make review`: what the files here do to the figures of their base, on a sandbox, without any credentials."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import click

from insightmart.checkout import look_at
from insightmart.errors import InsightMartError
from insightmart.reproducing.code_of_then import tree_of
from review.steps import (
    MINUTES_PAST,
    StepFailed,
    Steps,
    build_prod,
    comment,
    environment_name,
    plan_and_compare,
    refusal_text,
    sandbox_settings,
)

PROJECT = Path(__file__).resolve().parents[1]
REVIEW, LOG = "review.md", "review.log"


@click.command()
@click.option("--base", default="origin/main", show_default=True, help="What the change goes into.")
@click.option("--environment", help="SQLMesh's environment for it (default: named after the branch).")
@click.option("--size", default="tiny", show_default=True, help="Size of the simulated business.")
@click.option("--hours", type=click.IntRange(1), default=48, show_default=True, help="Hours of it.")
@click.option("--out", type=click.Path(path_type=Path), default=PROJECT / "var" / "review", help="Where it is written.")
def main(base: str, environment: str | None, size: str, hours: int, out: Path) -> None:
    """Build prod of the commit where the files here left BASE on a sandbox, plan the files here beside it, and write
    what differs to OUT/review.md, as a comment on a pull request.

    The change passes the gates, the unit tests and the linter on its way, as in production. Nothing outside of OUT is
    changed. Exit code 0: it may be promoted; 1: something speaks against it, review.md says what.
    """
    out = out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    steps = Steps(out / LOG)
    name = environment_name(environment or git("rev-parse", "--abbrev-ref", "HEAD"))
    commit = git("merge-base", base, "HEAD")
    facts = {"Base": commit[:12], "change": (look_at(PROJECT).commit or "")[:12], "sandbox": f"{size}, {hours} hours"}
    code = 0
    try:
        text = reviewed(steps, out, commit, name, size, hours)
    except StepFailed as failed:
        text, code = refusal_text(failed), 1
    (out / REVIEW).write_text(comment(text, facts), encoding="utf-8")
    click.echo(f"{out / REVIEW}{'' if code == 0 else ': something speaks against it'}")
    sys.exit(code)


def reviewed(steps: Steps, out: Path, commit: str, environment: str, size: str, hours: int) -> str:
    """All steps. Returns the review as Markdown; its page and JSON are beside it.

    Raises:
        StepFailed: one did not end well.
    """
    home, scratch = out / "home", out / "base"
    scratch.mkdir()
    settings = sandbox_settings(steps, home, PROJECT, size, hours)
    try:
        steps.environment |= settings
        base = tree_of(commit, scratch, project=PROJECT)
        as_of = datetime.fromisoformat(settings["INSIGHTMART_START"]) + timedelta(hours=hours) + MINUTES_PAST
        build_prod(steps, base.python, base.folder, as_of)
        text = plan_and_compare(steps, PROJECT, environment, as_of)
        for page in home.glob("promotions/*/*"):
            shutil.copy(page, out)
        return text
    except InsightMartError as error:
        raise StepFailed("The code of the base", [str(error)]) from None
    finally:
        with suppress(StepFailed):
            steps.run("The sandbox ends", [Path(sys.executable), "-m", "sandbox", "down"], PROJECT)


def git(*arguments: str) -> str:
    """What git says.

    Raises:
        ClickException: it says no.
    """
    done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(
            f"git {arguments[0]}: {done.stderr.strip() or 'failed'}. Name another one with --base"
        )
    return done.stdout.strip()


if __name__ == "__main__":
    main()
