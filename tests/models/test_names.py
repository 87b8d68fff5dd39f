"""A file of models/ is named as the models that it builds (docs/naming.md)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.models.conftest import REPOSITORY

if TYPE_CHECKING:
    from sqlmesh import Context

MODELS = REPOSITORY / "models"


def test_the_name_of_a_file_is_the_name_of_its_models(project: Context) -> None:
    built: dict[Path, set[str]] = {path: set() for path in MODELS.rglob("*") if path.suffix in (".sql", ".py")}
    for model in project.models.values():
        if not model.kind.is_external:
            built[Path(model._path)].add(model.name)
    strangers = {
        path.relative_to(MODELS).as_posix(): sorted(names)
        for path, names in built.items()
        if not names or not all(_form(path).fullmatch(name) for name in names)
    }
    assert strangers == {}


def _form(path: Path) -> re.Pattern[str]:
    """What the models of a file are called: a word of its name that stands for a value fits every value.

    In SQL that is what the file itself says, `core.fct_orders__@{source}`; in Python the word `source`.
    """
    name = f"{path.parent.name}.{path.stem}"
    if path.suffix == ".py":
        return re.compile(re.escape(name).replace("source", "[a-z]+"))
    stated = re.search(r"(?m)^\s*name\s+(\S+),$", path.read_text(encoding="utf-8"))
    assert stated, path
    assert re.sub(r"@\{(\w+)\}", r"\1", stated.group(1)) == name
    return re.compile(re.sub(r"@\\\{\w+\\\}", r"\\w+", re.escape(stated.group(1))))
