"""The steps of a review, each a command as people run it, and the comment that comes of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import click

MARK = "<!-- insightmart review -->"  # the comment of a pull request that is written anew with each push
NOTHING_CHANGES = "No model, check or audit is another one: prod would stay what it is, and so would every figure."
MINUTES_PAST = timedelta(minutes=5)
SAID = 40  # lines of a command that failed
REFUSED = "insightmart.errors.GateError: "  # of a line in which a gate says why
OURS = "insightmart: "  # begins the line in which a command of ours does


class StepFailed(Exception):
    """A command that did not end with 0.

    Args:
        title: what it was for.
        lines: the end of what it said.
    """

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__(title)
        self.title, self.lines = title, list(lines)


@dataclass
class Steps:
    """Runs commands, and keeps what they say.

    Attributes:
        log: a file that gets all of it.
        environment: variables of the commands, beside those of this process.
    """

    log: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, title: str, command: Sequence[str | Path], project: Path, may_end_with: Sequence[int] = (0,)) -> str:
        """Run a command in a project, with the project's own code.

        Args:
            title: what it is for.
            command: the program and its arguments.
            project: the project whose code it is, and where it runs.
            may_end_with: exit codes that are no failure.

        Returns:
            What it printed to standard output.

        Raises:
            StepFailed: it ended otherwise.
        """
        click.echo(f"+ {title}", err=True)
        own = {"PYTHONPATH": str(project), "PYTHON_DOTENV_DISABLED": "1", "NO_COLOR": "1", "COLUMNS": "2000"}
        done = subprocess.run(
            [str(part) for part in command],
            cwd=project,
            env={**os.environ, **self.environment, **own},
            capture_output=True,
            text=True,
            check=False,
        )
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"$ {' '.join(map(str, command))}\n{done.stdout}{done.stderr}exit code {done.returncode}\n\n")
        if done.returncode not in may_end_with:
            lines = [line.rstrip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            raise StepFailed(title, lines[-SAID:])
        return done.stdout


def environment_name(text: str) -> str:
    """A name for SQLMesh's environment, of a branch or of ``pr_12``: small letters, digits, underscores; never prod."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:40] or "change"
    return f"{name}_" if name == "prod" else name


def sandbox_settings(steps: Steps, home: Path, project: Path, size: str, hours: int) -> dict[str, str]:
    """Start a sandbox in a home that does not outlive this process. Returns the settings that lead to it."""
    steps.environment["INSIGHTMART_HOME"] = str(home)
    python = Path(sys.executable)
    up: list[str | Path] = [
        python,
        "-m",
        "sandbox",
        "up",
        "--size",
        size,
        "--preload-hours",
        str(hours),
        "--parent",
        str(os.getpid()),
    ]
    steps.run(f"A sandbox with {hours} hours of business, {size}", up, project)
    told = steps.run("Its settings", [python, "-m", "sandbox", "env", "--json"], project)
    settings: dict[str, str] = json.loads(told)
    settings.pop("INSIGHTMART_AS_OF", None)
    return {**settings, "INSIGHTMART_GATEWAY": "local", "INSIGHTMART_HOME": str(home)}


def build_prod(steps: Steps, python: Path, base: Path, as_of: datetime) -> None:
    """The first cycle, with the code of the base. What a gate of it holds back, of faults that are planted, may be."""
    cycle: list[str | Path] = [python, "-m", "insightmart.cli", "cycle", "--as-of", as_of.isoformat()]
    steps.run("Prod, as the base builds it", cycle, base, may_end_with=(0, 1))


def plan_and_compare(steps: Steps, project: Path, environment: str, as_of: datetime) -> str:
    """Build the change beside prod, through the gates, and compare. Returns the review as Markdown.

    Raises:
        StepFailed: a gate refuses it, or it cannot be promoted.
    """
    python, at = Path(sys.executable), as_of.isoformat()
    plan: list[str | Path] = [
        python,
        "-m",
        "insightmart.cli",
        "sqlmesh",
        "plan",
        environment,
        "--auto-apply",
        "--no-prompts",
    ]
    steps.run(
        f"The change in {environment}, through the gates", [*plan, "--skip-tests", "--execution-time", at], project
    )
    promote: list[str | Path] = [
        python,
        "-m",
        "insightmart.cli",
        "promote",
        environment,
        "--dry-run",
        "--markdown",
        "--as-of",
        at,
    ]
    return review_text(steps.run("Tests, lint, gates, and the difference to prod", promote, project))


def review_text(said: str) -> str:
    """What `insightmart promote --markdown` says as the text of the comment; it is none where nothing differs."""
    is_review = said.lstrip().startswith("#")
    return said if is_review else f"### InsightMart: no figure changes\n\n{NOTHING_CHANGES}\n"


def comment(text: str, facts: Mapping[str, str]) -> str:
    """The comment: what was found, and what it was found on."""
    told = "; ".join(f"{name} {value}" for name, value in facts.items())
    return f"{MARK}\n{text.strip()}\n\n<sub>{told}. The same on your machine: `make review`.</sub>\n"


def refusal_text(failed: StepFailed) -> str:
    """A step that failed, for the comment: nothing in it becomes a link, a mention or HTML."""
    lines = "\n".join(failed.lines)
    fence = "`" * max(3, *(len(ticks) + 1 for ticks in re.findall(r"`+", lines)), 3)
    said = [line.partition(REFUSED)[2] or line.partition(OURS)[2] * line.startswith(OURS) for line in failed.lines]
    told = "".join(f"- `{line}`\n" for line in dict.fromkeys(line.strip().replace("`", "'") for line in said if line))
    whole = f"<details><summary>What it said</summary>\n\n{fence}\n{lines}\n{fence}\n\n</details>"
    return f"### InsightMart: this cannot be promoted\n\n{failed.title}: it failed.\n\n{told}\n{whole}\n"
