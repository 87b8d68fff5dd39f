"""Checks of this machine: interpreter, packages, home, warehouse, project."""

from __future__ import annotations

import shutil
import sys
import tempfile
import tomllib
from importlib.metadata import PackageNotFoundError, version
from typing import get_args

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from ingestion.migrations import applied
from insightmart.doctor.findings import Check, Flaw
from insightmart.errors import InsightMartError
from insightmart.kept_private import open_to_others
from insightmart.schema_version import SETUP, refuse_others
from insightmart.settings import PROJECT, Settings
from insightmart.snowflake_sessions import Workload

FREE_DISK = 2 * 2**30  # bytes


def _pyproject() -> dict[str, object]:
    project: dict[str, object] = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def _python(_: Settings) -> str:
    wanted = SpecifierSet(str(_pyproject()["requires-python"]))
    running = ".".join(str(part) for part in sys.version_info[:3])
    if running not in wanted:
        raise Flaw(f"Python {running} does not fit {wanted}", f"Make the environment with a Python {wanted}")
    return running


def _packages(_: Settings) -> str:
    wanted: object = _pyproject()["dependencies"]
    assert isinstance(wanted, list)
    wrong = []
    for requirement in map(Requirement, wanted):
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            wrong.append(f"{requirement.name} {installed} does not fit {requirement.specifier}")
    if wrong:
        cure = "pip install --no-deps --require-hashes -r requirements.lock"
        raise Flaw("; ".join(wrong), cure)
    return f"{len(wanted)} as pyproject.toml asks"


def _home(settings: Settings) -> str:
    folder = settings.home
    while not folder.exists():
        folder = folder.parent
    cure = f"Give the user write access to {folder}, or set INSIGHTMART_HOME elsewhere"
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise Flaw(f"{settings.home} cannot be written: {error.strerror}", cure) from None
    if free < FREE_DISK:
        raise Flaw(f"{settings.home}: {free / 2**30:.1f} GiB free", "Free at least 2 GiB there")
    if seen := [path.name for path, _ in open_to_others(settings.home)]:  # of another user, whom no command of ours is
        raise Flaw(f"others may see {', '.join(sorted(seen))} in {settings.home}", "chmod -R go= FILES, as their owner")
    return f"{settings.home}, {free / 2**30:.0f} GiB free"


def _warehouse(settings: Settings) -> str:
    from insightmart.gateway import open_warehouse

    if settings.gateway == "local" and not settings.database_path.exists():
        return f"{settings.database_path} does not exist yet; the first cycle creates it"
    if settings.gateway == "snowflake":
        return _account(settings)
    with open_warehouse(settings) as warehouse:
        warehouse.value("SELECT 1")
    return f"{settings.database_path} is free"


def _account(settings: Settings) -> str:
    """Every warehouse, by a statement that computes something: a login alone shows neither budget nor rights; and
    whether `insightmart setup` is due."""
    from insightmart.gateway import open_warehouse

    seen: dict[str, dict[str, None]] = {}
    for workload in get_args(Workload):
        with open_warehouse(settings, workload) as warehouse:
            ((role, name, _),) = warehouse.rows(
                "SELECT CURRENT_ROLE(), CURRENT_WAREHOUSE(), COUNT(*) FROM information_schema.schemata"
            )
        seen.setdefault(role, {})[name] = None  # more than one kind of work may have the same
    used = "; ".join(f"as {role} on {', '.join(names)}" for role, names in seen.items())
    said = f"Snowflake {settings.snowflake_account} answers user {settings.snowflake_user} {used}"
    with open_warehouse(settings) as warehouse:
        try:
            refuse_others(applied(warehouse), SETUP)
        except InsightMartError as error:
            raise Flaw(f"{said}; {error.cause}", error.cure, "note") from None
    return said


def _project(settings: Settings) -> str:
    from sqlmesh import Context
    from sqlmesh.core.console import NoopConsole, set_console
    from sqlmesh.utils.errors import SQLMeshError

    set_console(NoopConsole())
    try:
        context = Context(paths=str(PROJECT), gateway=settings.gateway)
    except SQLMeshError as error:
        raise Flaw(f"it cannot be loaded: {' '.join(str(error).split())[:300]}", "`sqlmesh lint` says more") from None
    try:
        count = f"{len(context.models)} models"
        if settings.gateway == "local" and not (settings.home / "state.duckdb").exists():
            return f"{count}; no environment prod yet, the first cycle creates it"
        try:
            environment = context.state_reader.get_environment("prod")
        except Exception as error:  # noqa: BLE001 whatever the state's database raises: it cannot be read
            raise Flaw(
                f"{count}, but the state cannot be read: {' '.join(str(error).split())[:200]}",
                "Wait for the running cycle to end; with Snowflake check the STATE_ settings",
            ) from None
        if environment is None:
            return f"{count}; no environment prod yet, the first cycle creates it"
        return f"{count}, environment prod exists"
    finally:
        context.close()


def _alerts(settings: Settings) -> str:
    """Who is told, and whether everybody of them can be."""
    from insightmart.alerts.chat import can_be_used
    from insightmart.alerts.outbox import Outbox
    from insightmart.alerts.routes import read_routes

    routes = read_routes(settings)
    ends = routes.all_ends
    flaws = [
        *routes.flaws,
        *(
            f"{name} holds no address that apprise knows, or a plain one (docs/security.md)"
            for name in ends.chat
            if not can_be_used(name)
        ),
    ]
    if flaws:
        raise Flaw("; ".join(flaws), "Correct REPORT_TO or the routes (docs/alerts.md); the others are told meanwhile")
    if not ends:
        raise Flaw("nobody is told of anything", "Set REPORT_TO, or write routes (docs/alerts.md)", "note")
    outbox = Outbox(settings.home)
    if waiting := len(outbox.waiting()):
        raise Flaw(f"{waiting} of {outbox.folder} could not be sent yet", "The next cycle sends them: see mail", "note")
    if lost := len(list(outbox.aside.glob("*.json"))):
        raise Flaw(f"{lost} in {outbox.aside} were never taken", "Read them there, and delete them", "note")
    said = f"{settings.routes_file.name}, {len(routes.routes)} routes" if settings.routes_file else "no file of routes"
    return f"{said}; mail addresses: {len(ends.mail)}, chats: {len(ends.chat)}"


LOCAL: dict[str, Check] = {
    "python": _python,
    "packages": _packages,
    "home": _home,
    "warehouse": _warehouse,
    "project": _project,
    "alerts": _alerts,
}
