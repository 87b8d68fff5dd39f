"""`make docs`: pages that are written from the definitions, so that each thing is explained in one place only.

``python -m insightmart.documentation`` writes what is out of date and names it; a test fails while anything is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from insightmart.definitions import Rule, read_rules
from insightmart.settings import PROJECT

_RULES_INTRODUCTION = """\
# Row rules

Written by `make docs` from [macros/rules.yml](../macros/rules.yml), which is where a rule is changed. The table
`ops.rules` holds the same.

A row that fulfils a condition below is in quarantine, with the ids of all the rules it breaks in `rule_ids` and
`reasons`, and in no figure. `insightmart quarantine list` counts such rows, `insightmart quarantine show ENTITY` shows
them. A row leaves by itself: when its source is mended, the next cycle loads the new version; when a rule is changed,
`sqlmesh plan` rebuilds the entities whose conditions changed and everything below them.

Conditions are SQL over the columns of `staging._ENTITY`; one that is NULL fails nothing. Rules without a condition are
checked while loading: what cannot be typed stays in `raw.rejects`, with the text that the source sent.
"""


def generated(project: Path = PROJECT) -> dict[Path, str]:
    """What the generated files have to say, by path."""
    return {project / "docs" / "rules.md": rules_page(read_rules(project / "macros" / "rules.yml"))}


def outdated(project: Path = PROJECT) -> dict[Path, str]:
    """The generated files that do not say what they have to, with what they should say."""
    return {path: text for path, text in generated(project).items() if _content(path) != text}


def rules_page(rules: Sequence[Rule]) -> str:
    """docs/rules.md"""
    parts = [_RULES_INTRODUCTION]
    for entity, group in groupby(rules, key=lambda rule: rule.entity):
        described = list(group)
        rows = [[f"`{r.rule_id}`", _code(r.condition), r.meaning, r.severity, r.owner] for r in described]
        title = f"All of {entity.removesuffix('_*')}" if entity.endswith("*") else f"`{entity}`"
        parts.append(f"## {title}\n\n{_table(['Rule', 'A bad row', 'Meaning', 'Severity', 'Owner'], rows)}")
    return "\n".join(parts)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(header), ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _write(files: Mapping[Path, str]) -> None:
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(PROJECT)}\n")


if __name__ == "__main__":
    _write(outdated())
