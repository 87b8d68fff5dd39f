"""`insightmart sandbox`: hands over to the sandbox, a package of its own that nothing here imports."""

from __future__ import annotations

import os
import subprocess
import sys

import click

from insightmart.settings import load_settings


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> int:
    """The three sources and a mail inbox on this machine."""
    settings = load_settings()
    environment = {**os.environ, "INSIGHTMART_HOME": str(settings.home)}
    return subprocess.run([sys.executable, "-m", "sandbox", *arguments], env=environment, check=False).returncode
