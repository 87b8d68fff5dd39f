"""``python -m linter``: what `sqlmesh format --check` and `sqlmesh lint` check, with the project loaded once for both.

Importing SQLMesh and loading the project is most of what either costs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ingestion  # noqa: F401  keeps SQLMesh from calling home; before it is imported

PROJECT = Path(__file__).parents[1]


def main() -> int:
    """Exit code 0 where every model and audit is formatted and breaks no rule, otherwise 1; prints what is wrong."""
    from sqlmesh import Context
    from sqlmesh.core.console import TerminalConsole, set_console
    from sqlmesh.utils.errors import LinterError

    set_console(TerminalConsole())
    context = Context(paths=[PROJECT])
    formatted = context.format(check=True)
    try:
        context.lint_models()
    except LinterError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        context.close()
    return 0 if formatted else 1


if __name__ == "__main__":
    sys.exit(main())
