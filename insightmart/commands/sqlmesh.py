"""`insightmart sqlmesh`: SQLMesh as the cycle has it: with every change to it, and what Secrets Manager keeps."""

from __future__ import annotations

import click

from insightmart.settings import PROJECT, load_settings


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sqlmesh_command(arguments: tuple[str, ...]) -> None:
    """Run a command of SQLMesh on this project.

    Plain `sqlmesh` does the same where it loads the project. `run`, `janitor`, `migrate` and others do not load it:
    they know no change of ours, and no value that is kept in Secrets Manager.

    \b
    Examples:
      insightmart sqlmesh run
      insightmart sqlmesh migrate

    Exit codes: SQLMesh's own.
    """
    load_settings()
    from sqlmesh.cli.main import cli

    import insightmart.transform.sqlmesh_patches  # noqa: F401

    cli.main(["--paths", str(PROJECT), *arguments], prog_name="sqlmesh")
