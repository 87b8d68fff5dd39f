"""`insightmart completion`: what a shell has to be told, so that it completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

WHERE = {
    "bash": 'eval "$(insightmart completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(insightmart completion zsh)" in ~/.zshrc',
    "fish": "insightmart completion fish > ~/.config/fish/completions/insightmart.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(list(WHERE)))
def completion_command(shell: str) -> None:
    """Print the completion of commands, options and names for SHELL.

    \b
    To have it in every new shell:
      eval "$(insightmart completion bash)"                                          in ~/.bashrc
      eval "$(insightmart completion zsh)"                                           in ~/.zshrc
      insightmart completion fish > ~/.config/fish/completions/insightmart.fish      once
    """
    from insightmart.cli import cli

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"nothing is known about {shell}")
    click.echo(found(cli, {}, "insightmart", "_INSIGHTMART_COMPLETE").source())
