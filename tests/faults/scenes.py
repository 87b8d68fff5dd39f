"""What a command that is killed finds before it, and how what it left is made good: one scene for each command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.business import PRELOADED, Business, as_of
from ingestion.warehouse import open_duckdb
from tests.faults.whole import REPOSITORY, faults_of, insightmart, instant, truth, unsound
from tests.support.spoilt_file import SpoiltFile
from tests.support.workshop import UNIT_TESTS

Settings = Mapping[str, str]
WINDOW = ("--from", "2026-03-05T12:00", "--to", "2026-03-05T18:00")
APRIL = PRELOADED + 28 * 24  # the hour that ends on April 3 in UTC, when March has ended everywhere
YEARS_LATER = "2028-03-20T00:05"  # when what is of before March 20, 2026 may be kept no longer
NOBODY = "postgresql://nobody@127.0.0.1:9/shop?connect_timeout=2"
_EVERY_TABLE = """
SELECT schema_name, table_name FROM duckdb_tables()
WHERE UPPER(schema_name) NOT IN ('OPS', 'MAIN') AND NOT temporary AND schema_name NOT ILIKE '%scan%'
ORDER BY ALL
"""


@dataclass(frozen=True)
class Scene:
    """A command that is about to be killed.

    Attributes:
        command: ``insightmart`` or ``sqlmesh`` and its arguments.
        environment: settings it runs with, that of its home among them.
        hour: the one whose cycle cron starts next; None: no cycle follows, everything is as the command leaves it.
        again: the command is given once more before that, as its help says of a kill.
        done: what it says then where the kill came after all was done, and it is refused.
        finished: says what is not as the command was to leave it, of a home in which all is done.
        project: the folder that commands are run in.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    hour: int | None
    again: bool = False
    done: str = ""
    finished: Callable[[Path, Settings], list[str]] = lambda home, environment: []
    project: Path = field(default=REPOSITORY)

    def healing(self, run: Callable[..., tuple[int, str]]) -> Callable[[Path, Settings], list[str]]:
        """What goes on from the disk of a kill as people and cron would, and says what is wrong then.

        Args:
            run: is given settings and the arguments of ``insightmart``, and runs it in the project's folder.
        """
        expected = truth(self.environment)

        def started(environment: Settings, program: str, *arguments: str) -> list[str]:
            assert program == "insightmart"
            code, said = run(environment, *arguments)
            return [f"`{program} {' '.join(arguments)}` ended with {code}: {said}"] if code else []

        def heal(home: Path, environment: Settings) -> list[str]:
            wrong: list[str] = []
            if self.again:
                again = started(environment, *self.command)
                wrong += [line for line in again if not self.done or self.done not in line]
            if self.hour is not None:
                wrong += started(environment, "insightmart", "cycle", "--as-of", instant(as_of(self.hour)))
                wrong += faults_of(home, expected)
            return wrong + unsound(home, environment) + self.finished(home, environment)

        return heal


def _well(environment: Settings, *arguments: str, folder: Path = REPOSITORY) -> None:
    """Run a command that must not fail, while a scene is set."""
    code, said = insightmart(environment, *arguments, folder=folder)
    if code:
        raise RuntimeError(f"insightmart {' '.join(arguments)} failed ({code}): {said}")


def _first_day(own: Business) -> None:
    _well(own.environment, "cycle", "--as-of", instant(as_of(PRELOADED)))


def _setup(own: Business) -> Scene:
    """A warehouse that is not there yet, and the first day after it."""
    return Scene(("insightmart", "setup", "--as-of", instant(as_of(PRELOADED))), own.environment, PRELOADED, again=True)


def _first_cycle(own: Business) -> Scene:
    """The first cycle of all: it makes the warehouse and loads the first day."""
    return Scene(("insightmart", "cycle", "--as-of", instant(as_of(PRELOADED))), own.environment, PRELOADED)


def _cycle(own: Business) -> Scene:
    """The cycle of an hour with late corrections."""
    _first_day(own)
    own.advance()
    hour = PRELOADED + 1
    return Scene(("insightmart", "cycle", "--as-of", instant(as_of(hour))), own.environment, hour)


def _restate(own: Business) -> Scene:
    """Six hours rebuilt by hand; the next cycle finishes it."""
    _first_day(own)
    own.advance()
    command = ("insightmart", "restate", "staging._oltp_orders", *WINDOW, "--yes")
    return Scene((*command, "--as-of", instant(as_of(PRELOADED))), own.environment, PRELOADED + 1)


def _backfill(own: Business) -> Scene:
    """A day that the database could not be read on, brought in by hand, by the same command again if it is killed."""
    code, _ = insightmart({**own.environment, "OLTP_DSN": NOBODY}, "cycle", "--as-of", instant(as_of(PRELOADED)))
    if code != 1:
        raise RuntimeError(f"a cycle without its database ended with {code}")
    own.advance()
    command = ("insightmart", "backfill", "oltp", "--from", "2026-03-05T00:00", "--to", "2026-03-06T00:00")
    return Scene((*command, "--as-of", instant(as_of(PRELOADED))), own.environment, PRELOADED + 1, again=True)


def _replay(own: Business) -> Scene:
    """A file in an encoding that nobody had declared, read once more."""
    _first_day(own)
    own.advance()
    spoilt = SpoiltFile(own.environment)
    insightmart(own.environment, "cycle", "--as-of", instant(as_of(PRELOADED + 1)))
    spoilt.is_gone()  # its original is kept
    declared = Path(own.environment["INSIGHTMART_HOME"]) / "declared.yml"
    declared.write_text(spoilt.declaration, encoding="utf-8")
    settings = {**own.environment, "STORE_DECLARATIONS": str(declared)}
    own.advance()
    command = ("insightmart", "quarantine", "replay", "--json", "--as-of", instant(as_of(PRELOADED + 1)))
    return Scene(command, settings, PRELOADED + 2, again=True)


def _erase(own: Business) -> Scene:
    """A customer who is to be forgotten; the next cycle finishes it."""
    _first_day(own)
    own.advance()
    with open_duckdb(Path(own.environment["INSIGHTMART_HOME"]) / "INSIGHTMART.duckdb") as warehouse:
        customer = warehouse.value("SELECT MIN(customer_id) FROM raw.oltp_customers")
    now = instant(as_of(PRELOADED))
    arguments = ("erase", str(customer), "--reason", "ticket 4711", "--yes", "--json", "--as-of", now)

    def finished(home: Path, environment: Settings) -> list[str]:
        # before the first statement of it nothing is known of the wish: whoever had it says it again
        code, said = insightmart(environment, *arguments)
        with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
            left = warehouse.value(
                "SELECT COUNT(*) FROM raw.oltp_customers WHERE customer_id = ?"
                " AND COALESCE(email, first_name, last_name, phone, postal_code) IS NOT NULL",
                [customer],
            )
        return ([f"erase ended with {code}: {said}"] if code else []) + ([f"{left} rows name them"] if left else [])

    return Scene(("insightmart", *arguments), own.environment, PRELOADED + 1, finished=finished)


def _closed_march(own: Business) -> tuple[str, ...]:
    """Play until April 3; the command that closes March."""
    _first_day(own)
    own.advance(APRIL - PRELOADED)
    insightmart(own.environment, "cycle", "--as-of", instant(as_of(APRIL)))
    return ("close", "2026-03", "--override", "what the business plants stays open", "--as-of", instant(as_of(APRIL)))


def _close(own: Business) -> Scene:
    """A month closed for finance, by the same command again if it is killed."""
    close = _closed_march(own)

    def finished(home: Path, environment: Settings) -> list[str]:
        code, said = insightmart(environment, "close")
        return [] if code == 0 and "2026-03" in said else [f"close ended with {code}: {said}"]

    return Scene(
        ("insightmart", *close), own.environment, None, again=True, done="2026-03 is closed.", finished=finished
    )


def _retention(own: Business) -> Scene:
    """What is too old, deleted by the same command again if it is killed."""
    _well(own.environment, *_closed_march(own))
    arguments = ("retention", "--apply", "--give-up-rejects", "ticket 4712")
    environment = {**own.environment, "INSIGHTMART_AS_OF": YEARS_LATER}
    whole = Path(own.environment["INSIGHTMART_HOME"])
    uninterrupted = whole.parent / "uninterrupted"
    shutil.copytree(whole, uninterrupted, ignore=shutil.ignore_patterns("sandbox"))
    _well({**environment, "INSIGHTMART_HOME": str(uninterrupted)}, *arguments)
    before, expected = contents(whole), contents(uninterrupted)
    if before == expected:
        raise RuntimeError("nothing is old enough to be deleted")

    def finished(home: Path, environment: Settings) -> list[str]:
        found = contents(home)
        return [f"{name}: {found.get(name)} for {rows}" for name, rows in expected.items() if found.get(name) != rows]

    return Scene(("insightmart", *arguments), environment, None, again=True, finished=finished)


def contents(home: Path) -> dict[str, tuple[int, Any]]:
    """Every table of the warehouse but the evidence, with the number and the digest of its rows."""
    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        names = [f'"{schema}"."{table}"' for schema, table in warehouse.rows(_EVERY_TABLE)]
        return {name: warehouse.rows(f"SELECT COUNT(*), SUM(HASH(t)::HUGEINT) FROM {name} AS t")[0] for name in names}


def _ingested(own: Business) -> dict[str, str]:
    _first_day(own)
    own.advance()
    _well(own.environment, "ingest", "--as-of", instant(as_of(PRELOADED + 1)))
    return own.environment


def _sqlmesh_run(own: Business) -> Scene:
    """Plain `sqlmesh run`, after an hour was loaded; the next cycle finishes it."""
    return Scene(("sqlmesh", "run"), _ingested(own), PRELOADED + 1)


def _sqlmesh_plan(own: Business) -> Scene:
    """A restatement by plain `sqlmesh plan`; the next cycle finishes it, or it is planned once more."""
    command = ("sqlmesh", "plan", "--restate-model", "staging._oltp_orders", "--start", "2026-03-05", "--end")
    options = ("2026-03-05", "--auto-apply", "--no-prompts", "--skip-tests")
    return Scene((*command, *options), _ingested(own), PRELOADED + 1)


def _promote(own: Business) -> Scene:
    """A reviewed change published, by the same command again if it is killed; from then on cron runs its files."""
    _first_day(own)
    project = Path(own.environment["INSIGHTMART_HOME"]).parent / "project"
    _git(REPOSITORY, "clone", "--quiet", str(REPOSITORY), str(project))
    for tests in (project / "tests").rglob("*.yaml"):  # one is enough to see that they are run
        if tests != project / UNIT_TESTS:
            tests.unlink()
    model = project / "models/certified/fct_refunds__source.sql"
    text = model.read_text(encoding="utf-8")
    changed = text.replace("refund_id::VARCHAR", "TRIM(refund_id)::VARCHAR")
    if changed == text:
        raise RuntimeError(f"{model} does not say what is to be changed")
    model.write_text(changed, encoding="utf-8")
    _git(project, "commit", "--quiet", "--all", "--message", "Ids of refunds without spaces")
    environment = {**own.environment, "PYTHONPATH": str(project)}
    plan = [sys.executable, "-m", "insightmart.cli", "sqlmesh", "plan", "dev", "--auto-apply", "--no-prompts"]
    subprocess.run([*plan, "--skip-tests"], cwd=project, env=environment, check=True, capture_output=True)
    own.advance()

    def finished(home: Path, environment: Settings) -> list[str]:
        code, said = insightmart(environment, "promote", "dev", "--dry-run", folder=project)
        is_published = code == 0 and "is what prod is" in said
        return [] if is_published else [f"promote --dry-run ended with {code}: {said}"]

    now = instant(as_of(PRELOADED))
    command = ("insightmart", "promote", "dev", "--yes", "--as-of", now)
    return Scene(command, environment, PRELOADED + 1, again=True, finished=finished, project=project)


def _git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


SCENES: dict[str, Callable[[Business], Scene]] = {
    "cycle": _cycle,
    "first-cycle": _first_cycle,
    "setup": _setup,
    "restate": _restate,
    "backfill": _backfill,
    "replay": _replay,
    "erase": _erase,
    "close": _close,
    "retention": _retention,
    "sqlmesh-run": _sqlmesh_run,
    "sqlmesh-plan": _sqlmesh_plan,
    "promote": _promote,
}
