"""Facts about the repository itself: what would break another machine, or make a document lie."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from insightmart.cli import COMMANDS
from insightmart.settings import PROJECT, Settings
from verification.sbom import materials

MEGABYTE = 2**20
# Homes and checkouts of particular machines; /tmp, /usr and /path/to are nobody's.
MACHINE_PATH = re.compile(r"(?:^|[^A-Za-z0-9_.])/(?:home/[a-z]|Users/[A-Za-z]|root|work)/", re.MULTILINE)
# package -> first-party packages it may not import
FORBIDDEN = {
    "ingestion": {"insightmart", "sandbox", "bench"},
    "insightmart": {"sandbox", "bench"},
    "sandbox": {"ingestion", "insightmart", "bench"},
    "linter": {"sandbox", "bench"},
    "macros": {"sandbox", "bench"},
    "models": {"sandbox", "bench"},
    "signals": {"sandbox", "bench"},
}


def tracked() -> list[Path]:
    """The files that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := PROJECT / name).is_file()]


def text_of(path: Path) -> str:
    """The file as text; empty for one that is none."""
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode("utf-8", errors="replace")


def read(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def imported(path: Path) -> Iterator[str]:
    """Top-level names of everything a Python file imports, at its head or inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


# --- other machines ----------------------------------------------------------------------------------------------


def test_nothing_hides_the_soda_package() -> None:
    assert not (PROJECT / "soda" / "__init__.py").exists()


def test_the_lock_has_hashes_and_no_address() -> None:
    lock = read("requirements.lock")
    packages = re.split(r"(?m)^(?=[a-z0-9])", lock)[1:]
    assert "://" not in lock
    assert len(packages) > 100
    assert [package.split()[0] for package in packages if "--hash=sha256:" not in package] == []


def test_the_lock_names_every_direct_dependency() -> None:
    locked = {canonicalize_name(name) for name in re.findall(r"(?m)^([A-Za-z0-9._-]+)==", read("requirements.lock"))}
    assert {name for name in direct_dependencies() if name not in locked} == set()


def test_there_is_one_lock() -> None:
    assert [path.name for path in tracked() if path.name in ("uv.lock", "poetry.lock", "Pipfile.lock")] == []


def test_no_file_names_a_place_of_one_machine() -> None:
    found = [path.relative_to(PROJECT).as_posix() for path in tracked() if MACHINE_PATH.search(text_of(path))]
    assert found == []


def test_no_file_is_large() -> None:
    assert [path.name for path in tracked() if path.stat().st_size > MEGABYTE] == []


def test_no_secrets_file_is_tracked() -> None:
    assert [path.name for path in tracked() if path.name == ".env" or path.suffix in (".pem", ".p8", ".key")] == []


SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}\b|shpat_[0-9a-f]{32}|\bgh[pousr]_[A-Za-z0-9]{36}|\bxox[abpr]-\d{8,}-"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/=]{40}"
)


def test_no_file_holds_a_key_of_a_form_that_services_give_out() -> None:
    assert [path.relative_to(PROJECT).as_posix() for path in tracked() if SECRET.search(text_of(path))] == []
    assert SECRET.search("-----BEGIN PRIVATE KEY-----\n" + "M" * 64)
    assert SECRET.search("AKIA" + "A1" * 8)


def test_the_list_of_materials_names_every_locked_package_with_its_hashes() -> None:
    listed = materials(read("requirements.lock"))["components"]
    locked = re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^\s;\\]+)", read("requirements.lock"))
    assert [(one["name"], one["version"]) for one in listed] == [(canonicalize_name(name), of) for name, of in locked]
    assert all(one["externalReferences"][0]["hashes"] for one in listed)
    assert len({one["purl"] for one in listed}) == len(listed) > 200


# --- layout ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_go_one_way(package: str) -> None:
    forbidden = FORBIDDEN[package]
    found = {
        (path.relative_to(PROJECT).as_posix(), name)
        for path in (PROJECT / package).rglob("*.py")
        for name in imported(path)
        if name in forbidden
    }
    assert found == set()


# --- documents ---------------------------------------------------------------------------------------------------


def direct_dependencies() -> set[str]:
    """Names of what pyproject.toml asks for, extras included."""
    project = tomllib.loads(read("pyproject.toml"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return {canonicalize_name(Requirement(line).name) for group in groups for line in group}


def documented_settings() -> set[str]:
    """The names in the first column of the table of settings in README.md."""
    section = read("README.md").split("### Settings", 1)[1].split("\n###", 1)[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([A-Z][A-Z_]+)`", row)}


def known_settings() -> set[str]:
    """What the settings module, the command line and config.yaml read."""
    fields = {str(field.alias) for field in Settings.model_fields.values()}
    return fields | {"INSIGHTMART_AS_OF"} | set(re.findall(r"env_var\('([A-Z_]+)'", read("config.yaml")))


def test_the_readme_names_every_setting_and_no_other() -> None:
    assert documented_settings() == known_settings()


def test_the_example_of_an_env_file_names_every_setting_and_no_other() -> None:
    named = set(re.findall(r"(?m)^#([A-Z_]+)=", read(".env.example")))
    assert named == known_settings() - {"INSIGHTMART_AS_OF"}


def test_the_example_of_an_env_file_sets_nothing() -> None:
    assert [line for line in read(".env.example").splitlines() if line and not line.startswith("#")] == []


def test_the_readme_names_every_command_and_no_other() -> None:
    section = read("README.md").split("\n## Commands", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"`insightmart ([a-z]+)", section)) == set(COMMANDS)


def test_every_dependency_says_what_it_is_for() -> None:
    rows = [line.split("|") for line in read("docs/dependencies.md").splitlines() if line.startswith("| `")]
    explained = {canonicalize_name(Requirement(name).name): row[2].strip() for row in rows for name in names_in(row[1])}
    assert set(explained) == direct_dependencies()
    assert [name for name, reason in explained.items() if not reason] == []


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def documents() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".md"]


def test_links_between_documents_lead_somewhere() -> None:
    broken = {
        f"{document.name}: {target}"
        for document in documents()
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text_of(document))
        if not (document.parent / target).exists()
    }
    assert broken == set()


def test_documents_name_files_that_exist() -> None:
    """Paths in code spans, such as `soda/variables.yml`; names with a placeholder in them are left out."""
    folders = (
        "ingestion|insightmart|sandbox|models|macros|signals|seeds|soda|docs|tests|\\.ci|verification|bench|deploy"
    )
    form = re.compile(rf"`((?:{folders})/[A-Za-z0-9_./-]*)`")
    missing = {
        f"{document.name}: {name}"
        for document in documents()
        for name in form.findall(text_of(document))
        if not (PROJECT / name).exists()
    }
    assert missing == set()


def test_the_tests_that_business_cases_name_exist() -> None:
    rows = [line.split("|") for line in read("docs/business-cases.md").splitlines() if line.startswith("| ")][1:]
    tests = "".join(text_of(path) for path in tracked() if path.is_relative_to(PROJECT / "tests"))
    known = set(re.findall(r"(?m)^def (test_\w+)\(|^(\w+):$", tests))
    names = {name for pair in known for name in pair if name}
    assert len(rows) > 20
    assert {row[1].strip(): names_in(row[3]) for row in rows if not names_in(row[3])} == {}
    assert {name for row in rows for name in names_in(row[3])} - names == set()


def test_make_help_lists_every_target() -> None:
    makefile = read("Makefile")
    (phony,) = re.findall(r"(?m)^\.PHONY: (.+)$", makefile)
    explained = set(re.findall(r"(?m)^([a-z-]+):.*## \S", makefile))
    assert explained == set(phony.split())


def test_ci_runs_what_the_readme_says() -> None:
    assert re.search(r"(?m)^make test$", read(".ci/run"))
    assert (PROJECT / ".ci" / "run").stat().st_mode & 0o111
    assert re.search(r"(?m)^make test$", read("README.md"))
    assert re.search(r"(?m)^make demo$", read("README.md"))
