"""The documents as a site (`make docs`): Sphinx reads this file. Nothing of the site comes from the network.

Pages of reference are written from code each time, into docs/reference, which git ignores: commands as click knows
them, settings as pydantic does, the checks of the gate, files to take along. Metrics, columns, rules and data contracts
are files of their own, which `make docs` keeps up to date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import click
import yaml
from pydantic_core import PydanticUndefined

# page -> the file of the repository's root that it shows
ROOT_FILES = {"overview": "README.md", "contributing": "CONTRIBUTING.md", "changelog": "CHANGELOG.md"}
DOCS = Path(__file__).resolve().parent
PROJECT_FOLDER = DOCS.parent
sys.path.insert(0, str(PROJECT_FOLDER))

from insightmart.cli import cli  # noqa: E402  only now can it be found
from insightmart.settings import Settings  # noqa: E402
from sandbox.__main__ import main as sandbox  # noqa: E402

project = "InsightMart"
html_title = "InsightMart"
extensions = ["myst_parser"]
exclude_patterns = ["contracts", "tableau"]
html_theme = "furo"
html_copy_source = False
html_show_copyright = False
html_theme_options = {"top_of_page_buttons": []}  # they would lead to a repository on the network
templates_path: list[str] = []
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
# Text pictures and commands are blocks without a language: they are no Python.
highlight_language = "none"


def _table(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def commands_page() -> str:
    """Every command with its help, as `--help` prints it."""
    root = click.Context(cli, info_name="insightmart")
    parts = ["# Commands\n\nWhat `--help` says, written from the commands themselves.\n"]
    for path, help_text in _helps(cli, root, "insightmart"):
        parts.append(f"## `{path}`\n\n```text\n{help_text}\n```\n")
    return "\n".join(parts)


def _helps(command: click.Command, context: click.Context, path: str) -> Iterator[tuple[str, str]]:
    yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = sandbox if name == "sandbox" else command.get_command(context, name)
            assert found is not None
            yield from _helps(found, click.Context(found, info_name=name, parent=context), f"{path} {name}")


def settings_page() -> str:
    """Every setting with type and default, and the meaning that the table in README.md gives it."""
    readme = (PROJECT_FOLDER / "README.md").read_text(encoding="utf-8")
    meanings = {}
    for line in readme.splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            meanings |= dict.fromkeys(re.findall(r"`([A-Z][A-Z_]+)`", cells[0]), cells[-1])
    rows = []
    for field in Settings.model_fields.values():
        default = field.default
        is_plain = default not in (None, "", PydanticUndefined) and not isinstance(default, Path)
        kinds = [kind.__name__ for kind in get_args(field.annotation) or [field.annotation] if kind is not type(None)]
        shown = f"`{default}`" if is_plain else ""
        meaning = re.sub(r"\]\(docs/", "](../", meanings.get(str(field.alias), "")).replace("\\|", "|")
        rows.append([f"`{field.alias}`", ", ".join(f"`{kind}`" for kind in kinds), shown, meaning])
    text = "Written from `insightmart/settings.py`; the meanings are those of README.md. A secret is never shown.\n\n"
    return "# Settings\n\n" + text + _table(["Setting", "Type", "Default", "Meaning"], rows)


def checks_page() -> str:
    """Every check of the gate, by file and table."""
    parts = [
        "# Checks of the gate\n\nWritten from `soda/checks`. A critical check that fails holds its window back; of a"
        " warning people are told. How to add one: [add a check](../add-a-check.md).\n"
    ]
    for path in sorted((PROJECT_FOLDER / "soda" / "checks").glob("*.yml")):
        parts.append(f"## {path.stem}\n")
        for title, checks in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            rows = []
            for check in checks:
                ((rule, options),) = check.items()
                attributes = options.get("attributes", {})
                who = [str(attributes[key]) for key in ("severity", "owner")]
                rows.append([str(options.get("name", rule)), f"`{rule}`", *who])
            name = title.rpartition(".")[2].lower()
            parts.append(f"### `{name}`\n\n{_table(['What must hold', 'Rule', 'Severity', 'Owner'], rows)}")
    return "\n".join(parts)


def files_page() -> str:
    """The files that other programs read: contracts and data sources, to be taken along."""
    parts = ["# Files\n\nWritten by `make docs` from the models and their definitions.\n"]
    for title, folder in (("Data contracts", "contracts"), ("Data sources for Tableau", "tableau")):
        listed = "".join(f"- [{path.name}](../{folder}/{path.name})\n" for path in sorted((DOCS / folder).iterdir()))
        parts.append(f"## {title}\n\n{listed}")
    return "\n".join(parts)


def as_page(_: Any, name: str, source: list[str]) -> None:
    """Pages that are files of the repository's root, and links to what is another page here."""
    text = source[0]
    if name in ROOT_FILES:
        text = (PROJECT_FOLDER / ROOT_FILES[name]).read_text(encoding="utf-8")
        text = re.sub(r"\]\((?!https?:|#|docs/)", "](../", text).replace("](docs/", "](")
    for page, file in ROOT_FILES.items():
        text = text.replace(f"](../{file}", f"]({page}.md")
    source[0] = re.sub(r"\]\((contracts|tableau)/?\)", "](reference/files.md)", text)


def write_reference(*_: Any) -> None:
    """Write the pages that come from code; a page that says the same stays as it is, so that Sphinx reads it once."""
    folder = DOCS / "reference"
    folder.mkdir(exist_ok=True)
    pages = {"commands": commands_page, "settings": settings_page, "checks": checks_page, "files": files_page}
    for name, write in pages.items():
        text = write()
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Any) -> None:
    """Sphinx calls it before it looks for pages."""
    app.connect("config-inited", write_reference)
    app.connect("source-read", as_page)
