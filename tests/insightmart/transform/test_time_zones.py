"""Importing SQLMesh compiles no expression of a single time zone; a date with one is read as ever."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from insightmart.settings import PROJECT

DATES = ("2026-03-05 10:00 EST", "5 March 2026 10:00 UTC+3", "1 week ago", "2026-03-05")
READ = f"""
settings = {{"RELATIVE_BASE": __import__("datetime").datetime(2026, 3, 6)}}
read = [dateparser.parse(date, settings=settings).isoformat() for date in {DATES}]
"""


def told(program: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )  # a process of its own: this one has imported all of it
    return json.loads(done.stdout)


def test_single_zones_are_not_compiled_until_one_is_read() -> None:
    imported, read = told(
        "import json\n"
        "from insightmart.transform.time_zones import CompiledLater, compiled_when_asked_for\n"
        "compiled_when_asked_for()\n"
        "import dateparser, sqlmesh\n"
        f"imported = CompiledLater.compiled\n{READ}"
        "print(json.dumps([imported, read]))"
    )
    assert imported <= 1  # SQLMesh reads a span in words when it is imported: whether any zone is in it
    assert read == told(f"import json, dateparser\n{READ}print(json.dumps(read))")
    assert read[0] == "2026-03-05T10:00:00-05:00"


def test_a_cycle_makes_the_change_before_it_imports_sqlmesh() -> None:
    """`open_transformer` is the first that imports SQLMesh."""
    before, after = told(
        "import json, sys\n"
        "from insightmart.commands import cycle\n"
        "from insightmart.transform import transformer\n"
        "before = 'sqlmesh' in sys.modules\n"
        "from types import SimpleNamespace\n"
        "try:\n"
        "    transformer.open_transformer(SimpleNamespace(home='/nowhere', gateway='none'), None).__enter__()\n"
        "except Exception: pass\n"
        "zones = sys.modules['dateparser.timezone_parser']\n"
        "print(json.dumps([before, type(zones._search_regex).__name__]))"
    )
    assert (before, after) == (False, "CompiledLater")
