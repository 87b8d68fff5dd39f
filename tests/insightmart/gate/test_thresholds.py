"""Which thresholds a gate is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from insightmart.errors import ConfigurationError
from insightmart.gate.thresholds import VARIABLES, read_checks, thresholds_of


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two files of checks and three thresholds."""
    (tmp_path / "soda" / "checks").mkdir(parents=True)
    (tmp_path / VARIABLES).write_text("variables: {HIGH: 5, LOW: '1', ALL_STORES: CERTIFIED.DIM_STORES}\n")
    (tmp_path / "soda" / "checks" / "sales.yml").write_text("a > ${HIGH} in ${SCHEMA}, ${ALL_STORES}")
    (tmp_path / "soda" / "checks" / "more.yml").write_text("b < ${LOW}, ${NOBODY}")
    return tmp_path


def test_a_gate_is_told_the_thresholds_of_its_checks_alone(project: Path) -> None:
    checks = read_checks(project, ["sales"])
    assert checks == "a > ${HIGH} in ${SCHEMA}, ${ALL_STORES}"
    assert yaml.safe_load(thresholds_of(project, checks, {"ALL_STORES"})) == {"variables": {"HIGH": "5"}}


def test_a_threshold_that_is_not_declared_is_refused(project: Path) -> None:
    checks = read_checks(project, ["sales", "more"])
    assert checks.count("\n") == 1
    with pytest.raises(ConfigurationError, match=r"uses NOBODY, which soda/variables\.yml does not declare"):
        thresholds_of(project, checks, ())
