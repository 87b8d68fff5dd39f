"""What was declared about the files of a store, because its files cannot say it: a YAML file, written by hand.

``store: {encoding: shift_jis}``; docs/store-files.md says when to declare what.
"""

from __future__ import annotations

import codecs
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ingestion.stores.csv.values import REGIONS

DECIMAL_MARKS = {"comma": ",", "point": "."}
LACKABLE = frozenset({"on_order"})  # columns that a file may be without, once that is declared


class DeclarationError(Exception):
    """A file of declarations that cannot be used; says which store and key."""


@dataclass(frozen=True)
class Declared:
    """What holds for all files of a store.

    Attributes:
        encoding: of text that is neither UTF-8 nor has a byte order mark, a name that Python knows.
        decimal_mark: "," or ".": how an amount is meant that could be read either way.
        timezone: the region meant by a zone such as EST, by an empty one or one that is no IANA zone.
        lacks: optional columns that the store does not send; their values are NULL.
    """

    encoding: str | None = None
    decimal_mark: str | None = None
    timezone: str | None = None
    lacks: frozenset[str] = frozenset()


NOTHING = Declared()


def read_declarations(path: Path) -> Mapping[int, Declared]:
    """What is declared, by store id.

    Raises:
        DeclarationError: there is no such file, it is no YAML, or an entry cannot be meant.
    """
    try:
        stated = yaml.load(path.read_text(encoding="utf-8"), Loader=_EachKeyOnce)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DeclarationError(f"{path}: {' '.join(str(error).split())}") from None
    if stated is not None and not isinstance(stated, dict):
        raise DeclarationError(f"{path}: not a mapping of store numbers")
    found = {}
    for store_id, entry in (stated or {}).items():
        try:
            found[_store(store_id)] = _declared(entry)
        except ValueError as error:
            raise DeclarationError(f"{path}: store {store_id}: {error}") from None
    return found


def _store(store_id: object) -> int:
    if not isinstance(store_id, int) or isinstance(store_id, bool) or store_id <= 0:
        raise ValueError("is no number of a store")
    return store_id


def _declared(entry: object) -> Declared:
    known = ("encoding", "decimal", "timezone", "lacks")
    if not isinstance(entry, dict) or not entry:
        raise ValueError(f"declares nothing; known are {', '.join(known)}")
    if unknown := [str(key) for key in entry if key not in known]:
        raise ValueError(f"{unknown[0]!r} is not known, only {', '.join(known)}")
    return Declared(
        encoding=_encoding(entry["encoding"]) if "encoding" in entry else None,
        decimal_mark=_decimal_mark(entry["decimal"]) if "decimal" in entry else None,
        timezone=_timezone(entry["timezone"]) if "timezone" in entry else None,
        lacks=_lacks(entry["lacks"]) if "lacks" in entry else frozenset(),
    )


def _encoding(value: object) -> str:
    try:
        found = codecs.lookup(value if isinstance(value, str) else "")
        "store_id,7".encode(found.name)  # refuses codecs that are no text encodings, as rot13
    except (LookupError, UnicodeError):
        raise ValueError(
            f"encoding {value!r} is not known; as examples, windows-1250, shift_jis, gb18030 and koi8-r are"
        ) from None
    return found.name


def _decimal_mark(value: object) -> str:
    if value not in DECIMAL_MARKS:
        raise ValueError(f"decimal {value!r} is neither comma nor point")
    return DECIMAL_MARKS[str(value)]


def _timezone(value: object) -> str:
    if value not in REGIONS:
        raise ValueError(f"timezone {value!r} is no IANA zone of a region, such as America/New_York")
    return str(value)


def _lacks(value: object) -> frozenset[str]:
    columns = value if isinstance(value, list) else [value]
    if not columns or not set(map(str, columns)) <= LACKABLE:
        raise ValueError(f"lacks {value!r}: only {', '.join(sorted(LACKABLE))} may be missing from a file")
    return frozenset(map(str, columns))


class _EachKeyOnce(yaml.SafeLoader):
    """Of two entries of one store YAML silently keeps the last; here the second one is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise yaml.constructor.ConstructorError(None, None, f"{twice} stands there twice", node.start_mark)
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return found
