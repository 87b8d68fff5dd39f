"""`make docs` on a project with a mistake in its definitions; what it writes: tests/models/test_promises.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from insightmart.definitions.documentation import generated, main
from insightmart.definitions.files import COLUMNS, DEFINITIONS, METRICS, RULES
from insightmart.errors import ConfigurationError
from insightmart.settings import PROJECT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The repository's definitions, without models."""
    for file in DEFINITIONS:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / file, tmp_path / file)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "old", "new", "cause"),
    [
        (METRICS, "  owner: finance\n", "", "certified/metrics.yml: orders lacks or has too much of: owner."),
        (METRICS, "title: Orders", "title: Orders: all", "certified/metrics.yml: mapping values are not allowed"),
        (COLUMNS, "  city: City", "  city:", "certified/columns.yml: everywhere.city has None where a text belongs"),
        (COLUMNS, "  city: City\n", "  city: City\n  city: Town\n", "certified/columns.yml: city stands there twice"),
        (COLUMNS, "  city: City\n", "  ? [a]\n  : b\n", "certified/columns.yml: while constructing a mapping"),
        (RULES, "severity: high", "severity: huge", "staging/rules.yml: oltp_orders.order_id_missing has severity"),
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_exit_code_2(
    project: Path, capsys: pytest.CaptureFixture[str], file: Path, old: str, new: str, cause: str
) -> None:
    text = (project / file).read_text(encoding="utf-8")
    assert old in text
    (project / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    assert main(project) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(cause)
    assert said.err.endswith("Correct the file\n")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("file", [METRICS, COLUMNS])
def test_words_about_a_column_that_is_not_there_are_refused(project: Path, file: Path) -> None:
    if file == COLUMNS:
        (project / METRICS).write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=rf"{file.name}: certified has no column \w+\.\w+"):
        generated({}, project)


def test_a_changed_meaning_is_written_behind_the_column_of_the_candidate(project: Path) -> None:
    core = project / "models" / "core"
    shutil.copytree(PROJECT / "models" / "core", core)
    shutil.copytree(PROJECT / "models" / "certified", project / "models" / "certified", dirs_exist_ok=True)
    columns = project / COLUMNS
    text = columns.read_text(encoding="utf-8")
    assert "  is_weekend: Saturday or Sunday\n" in text
    columns.write_text(text.replace("Saturday or Sunday", "Not a working day"), encoding="utf-8")
    written = generated({}, project)[core / "dim_dates.sql"]
    assert "  )::BOOLEAN AS is_weekend, /* Not a working day */\n" in written
    assert core / "_store_zones.sql" not in generated({}, project)
