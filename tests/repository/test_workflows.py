"""The workflows: their form and their rights, and that what they run is there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from insightmart.settings import PROJECT, Settings
from review.steps import MARK
from tests.faults.scenes import SCENES
from tests.repository.test_site import mistake

FILES = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
OUR_REPOSITORY = "github.event.pull_request.head.repo.full_name == github.repository"


def read(file: Path) -> dict[str, Any]:
    """A workflow; YAML takes its key ``on`` for a boolean."""
    found: dict[Any, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in found.items()}


def jobs() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each job by its name, with its workflow."""
    for file in FILES:
        workflow = read(file)
        for name, job in workflow["jobs"].items():
            yield f"{file.stem} {name}", job, workflow


def scripts() -> Iterator[tuple[str, str, set[str]]]:
    """Each script by where it stands, and the variables that it is given."""
    for name, job, workflow in jobs():
        handed = set(workflow.get("env", {})) | set(job.get("env", {}))
        for step in job["steps"]:
            if "run" in step:
                given = handed | set(step.get("env", {}))
                yield f"{name}: {step.get('name', step['run'])}", step["run"], given
                handed |= set(re.findall(r'echo "(\w+)=.*>> "\$GITHUB_ENV"', step["run"]))


def test_zizmor_finds_nothing() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    if not zizmor.exists():
        pytest.skip("there is no zizmor for this machine")
    asked = [str(zizmor), "--offline", "--no-progress", "--persona", "pedantic", "--format", "plain", ".github"]
    done = subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, len(FILES)) == (0, 4), done.stdout + done.stderr


def test_every_job_has_a_limit_and_the_rights_that_it_states() -> None:
    rights = {name: job["permissions"] for name, job, _ in jobs()}
    assert {name for name, job, _ in jobs() if not job.get("timeout-minutes")} == set()
    assert [workflow["permissions"] for _, _, workflow in jobs()] == [{}] * len(rights)
    assert {right for given in rights.values() for right in given.items()} == {
        ("contents", "read"),
        ("actions", "read"),
        ("pull-requests", "write"),
    }
    assert [name for name, given in rights.items() if "write" in given.values()] == ["review comment"]
    (comment,) = [job for name, job, _ in jobs() if name == "review comment"]
    assert not any("checkout" in step.get("uses", "") for step in comment["steps"])
    assert MARK in comment["steps"][-1]["run"]


def test_forks_get_no_secret_and_start_nothing_with_one() -> None:
    assert {event for _, _, workflow in jobs() for event in workflow["on"]} == {
        *("pull_request", "schedule", "workflow_dispatch")
    }
    with_secrets = {name: job for name, job, _ in jobs() if "secrets." in yaml.safe_dump(job) or "environment" in job}
    assert set(with_secrets) == {"promote plan", "promote promote", "promote remove"}
    assert all(OUR_REPOSITORY in " ".join(job["if"].split()) for job in with_secrets.values())
    assert with_secrets["promote promote"]["environment"] == "production"


def test_what_is_handed_over_are_settings() -> None:
    given = {name for _, job, _ in jobs() for step in job["steps"] for name in step.get("env", {})}
    config = set(re.findall(r"env_var\('([A-Z_]+)'", (PROJECT / "config.yaml").read_text(encoding="utf-8")))
    known = {str(field.alias) for field in Settings.model_fields.values()} | config
    assert given - known == {"BASE", "NUMBER", "GH_TOKEN", "REPOSITORY", "RUN", "COMMAND", "SEED"}


def test_every_script_is_one_and_has_its_variables() -> None:
    shells = [workflow["defaults"]["run"]["shell"] for _, _, workflow in jobs()]
    assert set(shells) == {"bash"}  # with a shell that is named a pipe fails as soon as a part of it does
    for place, script, given in scripts():
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{place}: {done.stderr}"
        own = set(re.findall(r"(?m)^\s*(\w+)=", script)) | {"GITHUB_ENV", "GITHUB_STEP_SUMMARY"}
        used = set(re.findall(r"\$\{?([A-Za-z_]\w*)", script))
        assert used - own - given == set(), place
        assert "${{" not in script, f"{place}: what a pull request says would become part of the script"


def test_every_command_of_a_script_exists() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8")))
    calls, made, files = [], [], []
    for _, script, _ in scripts():
        calls += re.findall(r"\.venv/bin/insightmart ([^|\n]+)", script)
        made += re.findall(r"(?m)^make ([a-z-]+)", script)
        files += re.findall(r"(?m)^(\.ci/\w+)", script)
    assert {call: wrong for call in calls if (wrong := mistake(call.replace('"', "")))} == {}
    assert set(made) == {"setup", "review", "audit", "fuzz", "kill-points", "soak"}
    assert set(made) <= targets
    assert (len(calls), files) == (5, [".ci/run"])
    (killed,) = [job for name, job, _ in jobs() if name == "long kill-points"]
    assert killed["strategy"]["matrix"]["command"] == list(SCENES)
    flags = [script for _, script, _ in scripts() if "REVIEW_FLAGS" in script]
    assert ["--environment" in script for script in flags] == [True]
