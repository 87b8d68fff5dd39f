"""A file of a store that unpacks to a gigabyte in a single cell: it is kept and explained, and takes no memory."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ingestion.warehouse import open_duckdb

if TYPE_CHECKING:
    from conftest import Drops

# What the command takes at its highest; what getrusage tells begins with the memory of whoever started it
MEASURED = """
import re, sys
sys.argv = ["insightmart", "ingest", "stores"]
from insightmart.cli import main
try:
    main()
finally:
    with open("/proc/self/status") as status:
        print("peak", int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1]) // 1024)
"""


def test_a_gigabyte_in_a_cell_is_not_unpacked(drops: Drops, endpoint: str, tmp_path: Path) -> None:
    mebibyte = gzip.compress(b"a" * (1 << 20))
    bomb = (
        gzip.compress(drops.HEADER.encode() + b'8,"') + mebibyte * 1024 + gzip.compress(b'",5,0,2026-03-05T10:15:00Z\n')
    )
    assert len(bomb) < 2 << 20
    drops.inventory("2026-03-05T10", 7)
    key = drops.put("inventory/2026/03/05/10/store_008.csv.gz", bomb)
    settings = {
        "AWS_ENDPOINT_URL": endpoint,
        "STORES_URL": drops.source.url,
        "INSIGHTMART_START": "2026-03-05",
        "INSIGHTMART_AS_OF": "2026-03-05T12:00",
        "INSIGHTMART_HOME": str(tmp_path / "home"),
        "PYTHON_DOTENV_DISABLED": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with open_duckdb(tmp_path / "home" / "INSIGHTMART.duckdb") as warehouse:
        [(file, rule, reason, original)] = warehouse.rows(
            "SELECT file_name, rule_id, reason, original_path FROM raw.rejects"
        )
        assert warehouse.value("SELECT COUNT(*) FROM raw.stores_inventory") == 1  # the other store's
    assert (file, rule) == (key, "file_too_large")
    assert "134,217,728" in reason
    assert Path(original).read_bytes() == bomb
    peak = int(done.stdout.rpartition("peak ")[2])
    assert peak < 900, done.stdout
