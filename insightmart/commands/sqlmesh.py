"""`insightmart sqlmesh`: SQLMesh as the cycle has it: with every change to it, and what Secrets Manager keeps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext

import click

from insightmart.errors import ConfigurationError
from insightmart.lock import writer_lock
from insightmart.settings import PROJECT, load_settings

# What writes to the warehouse or to the state, beside `run` and `plan`, which hold the lease for prod alone.
WRITING = ("destroy", "invalidate", "janitor", "migrate", "rollback", "state import")


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sqlmesh_command(arguments: tuple[str, ...]) -> None:
    """Run a command of SQLMesh on this project.

    Plain `sqlmesh` does the same where it loads the project. `run`, `janitor`, `migrate` and others do not load it:
    they know no change of ours, and no value that is kept in Secrets Manager.

    Nobody else writes while `run` and `plan` write to prod, nor during `destroy`, `invalidate`, `janitor`, `migrate`,
    `rollback` and `state import`. Plain `sqlmesh` holds no lock for the latter.

    \b
    Examples:
      insightmart sqlmesh run
      insightmart sqlmesh migrate

    Exit codes: SQLMesh's own; 75 another command is writing.
    """
    settings = load_settings()
    from sqlmesh.cli.main import cli

    import insightmart.transform.sqlmesh_patches  # noqa: F401

    every = ["--paths", str(PROJECT), *arguments]
    name, gateway = _named(cli, every)
    if (gateway := gateway or os.environ.get("SQLMESH_GATEWAY")) not in (None, settings.gateway):
        raise ConfigurationError(
            f"the gateway is to be {gateway}, and INSIGHTMART_GATEWAY is {settings.gateway}",
            f"Set INSIGHTMART_GATEWAY={gateway}: the lock and the sessions are of that one",
        )
    with writer_lock(settings, f"sqlmesh {name}") if name in WRITING else nullcontext():
        cli.main(every, prog_name="sqlmesh")


def _named(group: click.Group, arguments: Sequence[str]) -> tuple[str, str | None]:
    """The command that arguments name, with its group, empty where only help is asked for or nothing is named; and the
    gateway that they name."""
    parser = group.make_parser(click.Context(group, resilient_parsing=True))
    options, named, _ = parser.parse_args(list(arguments))
    name, *rest = named or [""]
    command = group.commands.get(name)
    if isinstance(command, click.Group):
        name = f"{name} {_named(command, rest)[0]}"
    return "" if "--help" in arguments else name, options.get("gateway")
