"""dbt's virtual environment: a folder that the user names. dbt is none of the pipeline's packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def dbt_python(directory: Path) -> Path:
    """The interpreter of the environment in this folder, which is made or brought up to date first.

    Raises:
        click.ClickException: it cannot be made.
    """
    directory = directory.resolve()
    python, installed = directory / "bin" / "python", directory / "installed.txt"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
        return python
    click.echo(f"Installing dbt into {directory}: a minute or two", err=True)
    install = ["-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--requirement", str(REQUIREMENTS)]
    for command in ([sys.executable, "-m", "venv", str(directory)], [str(python), *install]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise click.ClickException(f"dbt cannot be installed into {directory}: {said[-1] if said else 'no reason'}")
    installed.write_text(wanted, encoding="utf-8")
    return python
