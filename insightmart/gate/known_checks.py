"""A scan that does not have Soda read and write the same YAML each hour.

The text of the checks is the same in every scan of a gate; its variables are put in later. Soda reads it, and writes
the definition and an identity of each check, with a parser in plain Python: a third of what a scan costs. Here the text
is read once, each definition written once, and both kept beside SQLMesh's cache, under a name that says all they are
made of. A variable is put in as text, where Soda compiles a template for each text that has one.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from soda.scan import Scan
from soda.sodacl.sodacl_parser import SodaCLParser
from sqlmesh.utils.cache import FileCache

PACKAGES = ("soda-core", "ruamel.yaml")
Place = tuple[str, int | None, int | None]  # rule, line and column of a check
SHAPE = "2"  # of what is kept
HEADER = "\0"  # in a definition that is kept: what it is a check of, which is called otherwise in each scan
_VARIABLE = re.compile(r"\$\{\s*([A-Za-z_]\w*)\s*\}")


class KnownChecks:
    """What Soda made of one text of checks.

    Attributes:
        tree: the text as Soda's parser reads it, pickled: a scan changes its own copy; None until it is read.
        definitions: place of a check -> its definition in words of YAML, under ``HEADER``.
    """

    def __init__(self) -> None:
        self.tree: bytes | None = None
        self.definitions: dict[Place, str] = {}


class Kept:
    """What is known of texts, in memory and, where SQLMesh has a cache, in files of it."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, str], KnownChecks] = {}

    def get(self, cache: Path, text: str) -> KnownChecks:
        """What is known of a text; something new to be filled if nothing is."""
        name = _name(text)
        if (cache, name) not in self._known:
            found = _files(cache).get(name) if cache.is_dir() else None
            self._known[cache, name] = found or KnownChecks()
        return self._known[cache, name]

    def put(self, cache: Path, text: str, known: KnownChecks) -> None:
        """Keep it for other processes."""
        if cache.is_dir():
            _files(cache).put(_name(text), value=known)


KEPT = Kept()


def _files(cache: Path) -> FileCache[KnownChecks]:
    return FileCache(cache, prefix="soda_checks")


def _name(text: str) -> str:
    made_of = "\n".join([SHAPE, *(f"{name} {version(name)}" for name in PACKAGES), text])
    return f"checks_{hashlib.sha256(made_of.encode()).hexdigest()}"


class KnownScan(Scan):
    """Soda's scan, with what is known of its checks.

    Args:
        cache: folder of SQLMesh's cache.
    """

    def __init__(self, cache: Path) -> None:
        super().__init__()
        self._cache = cache

    def add_checks(self, text: str) -> None:
        """The checks to execute, once a scan."""
        self._text, self._checks_known = text, KEPT.get(self._cache, text)
        self._before = len(self._checks_known.definitions)
        self.add_sodacl_yaml_str(text)

    def keep(self) -> None:
        """Once it was executed: keep what was not known before."""
        if len(self._checks_known.definitions) > self._before:
            KEPT.put(self._cache, self._text, self._checks_known)

    def _parse_sodacl_yaml_str(self, sodacl_yaml_str: str, file_path: str | None = None) -> None:
        parser = _KnownParser(
            sodacl_cfg=self._sodacl_cfg,
            logs=self._logs,
            file_path=file_path,
            data_source_name=self._data_source_name,
        )
        parser.known = self._checks_known
        parser.parse_sodacl_yaml_str(sodacl_yaml_str)

    def build_scan_results(self) -> dict[str, Any]:
        for check in self._checks:
            check.create_identity = lambda **_: ""  # Soda's cloud tells checks apart by it, and nobody here
            check.create_definition = functools.partial(self._definition, check, type(check).create_definition)
        results: dict[str, Any] = super().build_scan_results()
        return results

    def _definition(self, check: Any, write: Any) -> str:
        told = check.check_cfg
        header, place = str(told.source_header), (str(told.source_line), told.location.line, told.location.col)
        definitions = self._checks_known.definitions
        if place not in definitions:
            definitions[place] = str(write(check)).replace(header, HEADER, 1)
        return definitions[place].replace(HEADER, header, 1)

    def jinja_resolve(self, definition: Any, variables: Any = None, location: Any = None) -> Any:
        filled = _filled(definition, {**self._variables, **(variables or {})})
        return super().jinja_resolve(definition, variables, location) if filled is None else filled


def _filled(text: Any, variables: Mapping[str, Any] | None) -> str | None:
    """A text with its variables; None where it has something else than names of these, which is left to Soda.

    Soda takes a variable of the environment before one of the scan: here no process can change by it what is checked.
    """
    if not isinstance(text, str) or not variables or any(mark in text for mark in ("{%", "{#", "\r")):
        return None
    names = _VARIABLE.findall(text)
    if len(names) != text.count("${") or not variables.keys() >= set(names):
        return None
    return _VARIABLE.sub(lambda found: str(variables[found[1]]), text).removesuffix("\n")


class _KnownParser(SodaCLParser):
    known: KnownChecks

    def _resolve_jinja(self, value: Any, variables: Any = None) -> Any:
        filled = _filled(value, variables)
        return super()._resolve_jinja(value, variables) if filled is None else filled

    def _parse_yaml_str(self, yaml_str: str) -> Any:
        if self.known.tree is None:
            tree = super()._parse_yaml_str(yaml_str)
            self.known.tree = None if tree is None else pickle.dumps(tree)  # none: it is no YAML, which Soda reports
            return tree
        tree = pickle.loads(self.known.tree)
        self.path_stack.set_antlr_collection_in_file_path_element(tree)
        return tree
