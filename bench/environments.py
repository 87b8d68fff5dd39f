"""Virtual environments of what is measured beside ours: a folder that the user names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click


def environment(directory: Path, requirements: Path) -> Path:
    """The interpreter of the environment in this folder, which is made or brought up to date first.

    Args:
        directory: the folder.
        requirements: a file as pip reads it, of exact versions.

    Raises:
        click.ClickException: it cannot be made.
    """
    directory = directory.resolve()
    python, installed = directory / "bin" / "python", directory / "installed.txt"
    wanted = requirements.read_text(encoding="utf-8")
    if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
        return python
    click.echo(f"Installing {requirements} into {directory}: some minutes", err=True)
    install = ["-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--requirement", str(requirements)]
    for command in ([sys.executable, "-m", "venv", str(directory)], [str(python), *install]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no reason"]
            raise click.ClickException(f"{requirements.name} cannot be installed into {directory}: {said[-1]}")
    installed.write_text(wanted, encoding="utf-8")
    return python
