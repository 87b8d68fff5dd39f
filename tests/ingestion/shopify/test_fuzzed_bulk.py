"""Whatever stands in the file of a bulk operation: it is refused whole, or every order of it is typed or read again.

`make fuzz` tries many times as many (FUZZ_EXAMPLES).
"""

from __future__ import annotations

import copy
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.shopify.bulk import Operation
from ingestion.shopify.bulk_orders import IncompleteResultError, read_orders
from tests.ingestion.shopify.test_bulk_orders import agreement, child, header, sale

EXAMPLES = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "150")), deadline=None, suppress_health_check=list(HealthCheck)
)
FILE = [header(1), header(2), child(11, 1), child(12, 2), agreement(3, 1), sale(5, 3)]
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "gid://shopify/Order/1",
            "gid://shopify/Order/",
            "1e999",
            "NaN",
            "-0",
            "2026-02-30T00:00:00Z",
            "\x00",
            "\ud800",
        ]
    )
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def places(record: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything in a record."""
    items = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    return [found for key, value in items for found in [(*before, key), *places(value, (*before, key))]]


@st.composite
def files(draw: st.DrawFn) -> tuple[list[Any], bytes]:
    """A file, some values of which are other ones or gone, its lines in any order, its bytes perhaps spoilt."""
    records: list[Any] = copy.deepcopy(FILE)
    for _ in range(draw(st.integers(0, 3))):
        number = draw(st.integers(0, len(records) - 1))
        *way, last = draw(st.sampled_from(places(records[number]) or [("id",)]))
        try:
            inner = records[number]
            for key in way:
                inner = inner[key]
            if draw(st.booleans()):
                inner[last] = draw(values)
            else:
                del inner[last]
        except (KeyError, IndexError, TypeError):
            continue
    records = draw(st.permutations(records))
    text = "".join(json.dumps(record) + "\n" for record in records).encode()
    if draw(st.integers(0, 4)) == 0:
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.binary(max_size=6)) + text[draw(st.integers(place, len(text))) :]
    return records, text


@EXAMPLES
@given(files())
def test_a_file_is_refused_or_every_order_is_accounted_for(given_file: tuple[list[Any], bytes]) -> None:
    records, text = given_file
    roots = sum("__parentId" not in record for record in records)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.jsonl"
        path.write_bytes(text)
        try:
            found = read_orders(path, Operation("1", "{}", "COMPLETED", None, len(records), roots, None, "http://x"))
        except IncompleteResultError:
            return
    typed = set(found.tables["orders"]["order_id"].to_pylist())
    again = {int(one.rpartition("/")[2]) for one in found.again}
    assert not typed & again
    assert found.found == roots
    assert len(typed | again) <= roots
    for name in ("order_lines", "sales"):
        assert set(found.tables[name]["order_id"].to_pylist()) <= typed
