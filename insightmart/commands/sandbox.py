"""`insightmart sandbox`: hands over to the sandbox, a package of its own that nothing here imports."""

from __future__ import annotations

import os
import sys

import click

from insightmart.settings import load_settings


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> None:
    """The three sources and a mail inbox on this machine."""
    environment = {**os.environ, "INSIGHTMART_HOME": str(load_settings().home)}
    # In our place, not below us: the sandbox ends with the shell that called, which it finds as its own parent.
    os.execve(sys.executable, [sys.executable, "-m", "sandbox", *arguments], environment)
