"""A scan that knows its checks says what Soda says, and has no YAML read or written that was before."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from ruamel.yaml import YAML
from soda.scan import Scan

from insightmart.gate.known_checks import KEPT, KnownScan
from insightmart.gate.scan import _outcome

CHECKS = """
# a comment, quotes of both kinds and a text of two lines: Soda's definition shows them as they are written
filter T [window]:
  where: amount > ${MORE_THAN}
checks for T [window]:
  - missing_count(order_id) = 0:
      name: "every order has a number"
      attributes: {severity: critical, owner: finance}
  - failed rows:
      name: 'no amount below zero'
      fail query: |
        SELECT * FROM S.T
        WHERE amount < 0
checks for T:
  - row_count > 0
"""


@pytest.fixture
def yaml_work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often a YAML text was read and written."""
    counted: Counter[str] = Counter()
    for name in ("load", "dump"):
        work = getattr(YAML, name)

        def counting(self: YAML, *args: Any, name: str = name, work: Any = work, **kwargs: Any) -> Any:
            counted[name] += 1
            return work(self, *args, **kwargs)

        monkeypatch.setattr(YAML, name, counting)
    KEPT._known.clear()
    yield counted
    KEPT._known.clear()


def scanned(scan: Any, more_than: int, checks: str = CHECKS, schema: str = "S") -> list[dict[str, str]]:
    """What a gate keeps of a table with the amounts 5, and -1 without a number."""
    with duckdb.connect() as connection:
        connection.execute(f"CREATE SCHEMA {schema}; SET schema = '{schema}'")
        connection.execute(
            f"CREATE TABLE {schema}.T AS SELECT * FROM (VALUES (1, 5), (NULL, -1)) AS rows(order_id, amount)"
        )
        scan.disable_telemetry()
        scan.set_verbose(False)
        scan.set_data_source_name("insightmart")
        scan.add_duckdb_connection(connection, "insightmart")
        scan.add_variables({"MORE_THAN": str(more_than), "PLACE": f"{schema}.T"})
        add = scan.add_checks if isinstance(scan, KnownScan) else scan.add_sodacl_yaml_str
        add(checks)
        scan.execute()
        if isinstance(scan, KnownScan):
            scan.keep()
        results = scan.get_scan_results()["checks"]
    return [_outcome(result) for result in results]


def test_a_known_scan_says_what_soda_says_with_other_variables_too(tmp_path: Path) -> None:
    KEPT._known.clear()
    for more_than, outcomes in ((0, ["pass", "fail", "pass"]), (-5, ["fail", "fail", "pass"])):
        expected = scanned(Scan(), more_than)
        assert sorted(result["outcome"] for result in expected) == sorted(outcomes)
        for _ in range(2):  # not known yet, or with other variables; known
            assert scanned(KnownScan(tmp_path), more_than) == expected
        KEPT._known.clear()  # as another process finds it
        assert scanned(KnownScan(tmp_path), more_than) == expected


def test_what_was_read_and_written_once_is_not_again(tmp_path: Path, yaml_work: Counter[str]) -> None:
    scanned(KnownScan(tmp_path), 0)
    read, written = yaml_work["load"], yaml_work["dump"]
    assert read
    assert written == 2  # of the three checks one has no options, and is no YAML
    yaml_work.clear()
    scanned(KnownScan(tmp_path), 0)
    assert yaml_work["dump"] == 0
    assert yaml_work["load"] == read - 1  # what is left is Soda's own configuration
    KEPT._known.clear()  # another process
    yaml_work.clear()
    scanned(KnownScan(tmp_path), 0)
    assert (yaml_work["load"], yaml_work["dump"]) == (read - 1, 0)


def test_what_is_called_otherwise_in_each_scan_is_known_all_the_same(tmp_path: Path, yaml_work: Counter[str]) -> None:
    more = "checks for ${PLACE}:\n  - missing_count(order_id) < ${MORE_THAN}:\n      name: few"
    checks = CHECKS.replace("checks for T:", more).replace("FROM S.T", "FROM ${PLACE}")
    expected = [scanned(Scan(), 5, checks, f"SCAN_{number}") for number in range(3)]
    scanned(KnownScan(tmp_path), 5, checks, "SCAN_0")
    (kept,) = (tmp_path / "soda_checks").iterdir()
    size = kept.stat().st_size
    yaml_work.clear()
    for number in range(3):
        KEPT._known.clear()  # another process
        assert scanned(KnownScan(tmp_path), 5, checks, f"SCAN_{number}") == expected[number]
    assert "checks for SCAN_2.T" in str(expected[2])
    assert yaml_work["dump"] == 0
    assert kept.stat().st_size == size  # a year of hours keeps no more than one


def test_no_variable_of_the_environment_changes_what_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = scanned(Scan(), 0)
    monkeypatch.setenv("MORE_THAN", "-5")
    assert scanned(Scan(), 0) != expected  # what Soda does
    assert scanned(KnownScan(tmp_path), 0) == expected


def test_a_changed_text_is_read_anew(tmp_path: Path, yaml_work: Counter[str]) -> None:
    scanned(KnownScan(tmp_path), 0)
    yaml_work.clear()
    found = scanned(KnownScan(tmp_path), 0, CHECKS.replace("row_count > 0", "row_count > 2"))
    assert yaml_work["load"]
    assert found[-1]["outcome"] == "fail"


def test_without_a_cache_it_is_known_to_this_process_only(tmp_path: Path) -> None:
    scanned(KnownScan(tmp_path / "none"), 0)
    assert not (tmp_path / "none").exists()


def test_scans_side_by_side_have_a_tree_of_their_own(tmp_path: Path) -> None:
    expected = scanned(Scan(), 0)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(scanned(KnownScan(tmp_path), 0))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 3


def test_a_text_that_is_no_yaml_is_an_error_of_the_scan_each_time(tmp_path: Path) -> None:
    for _ in range(2):
        scan = KnownScan(tmp_path)
        assert scanned(scan, 0, "checks for T: [") == []
        assert scan.has_error_logs()
