"""The YAML files that define rules, metrics and columns: where they lie, and how one is read.

Paths are relative to the project, because SQLMesh may load a copy of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from insightmart.errors import ConfigurationError

RULES = Path("models/staging/rules.yml")
METRICS = Path("models/certified/metrics.yml")
COLUMNS = Path("models/certified/columns.yml")
SUBJECTS = Path("models/certified/subjects.yml")
# Models are made of these files; SQLMesh's cache of loaded models is keyed by their times too.
DEFINITIONS = (RULES, METRICS, COLUMNS)


class _EachKeyOnce(yaml.CSafeLoader):
    """Of two keys of one name YAML silently keeps the last; here the second one is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} stands there twice", key.start_mark)
            seen.add(key.value)
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return found


def read_mapping(path: Path) -> Mapping[str, Any]:
    """The mapping of mappings in a file.

    Raises:
        ConfigurationError: there is no such file, it is no YAML, or it holds something else.
    """
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=_EachKeyOnce)
    except (OSError, yaml.YAMLError) as error:
        raise mistake(path, " ".join(str(error).split())) from error
    if not isinstance(found, dict) or not all(isinstance(block, dict) for block in found.values()):
        raise mistake(path, "not a mapping of mappings")
    return found


def mistake(path: Path, cause: str) -> ConfigurationError:
    """The error that names a file and what is wrong with it."""
    return ConfigurationError(f"{path.parent.name}/{path.name}: {cause}", "Correct the file")
