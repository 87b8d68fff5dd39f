"""The documents as a site: built without a warning, every link leads somewhere, nothing comes from the network; and the
commands that documents show exist, with their options."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest
from sqlmesh.cli.main import cli as sqlmesh

from insightmart.cli import COMMANDS, cli
from sandbox.__main__ import main as sandbox

PROJECT = Path(__file__).parents[2]
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), *PROJECT.glob("docs/people/*.md")])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it; a warning, such as of a link that leads nowhere, is an error."""
    folder = tmp_path_factory.mktemp("site")
    options = ["-q", "-W", "--keep-going", "-n", "-b", "html", "-d", str(folder / "read")]
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "docs", str(folder / "html")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, "")
    return folder / "html"


class Page(HTMLParser):
    """The ids of a page, its links, and what a browser would fetch for it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.ids |= {named[name] for name in ("id", "name") if name in named}
        if tag == "a" and "href" in named:
            self.links.append(named["href"])
        elif "src" in named or tag == "link":
            self.fetched.append(named.get("src") or named.get("href", ""))


def test_every_link_of_the_site_leads_somewhere_and_nothing_comes_from_the_network(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 40
    broken = defaultdict(list)
    for path, page in pages.items():
        for link in [*page.links, *page.fetched]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.fetched:
                    broken[path.name].append(f"fetches {link}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = target.exists() and (
                not parts.fragment or target not in pages or parts.fragment in pages[target].ids
            )
            if not known:
                broken[path.name].append(link)
    assert dict(broken) == {}
    assert not [path for path in site.rglob("*.css") if re.search(r"url\(['\"]?(https?:)?//", path.read_text("utf-8"))]


def test_the_reference_has_every_command_setting_and_check(site: Path) -> None:
    commands = (site / "reference/commands.html").read_text(encoding="utf-8")
    assert all(f'<span class="pre">{name}</span>' in commands for name in COMMANDS)
    settings = (site / "reference/settings.html").read_text(encoding="utf-8")
    assert "what a run writes" in settings or "everything a run writes" in settings
    assert "OLTP_STATEMENT_TIMEOUT" in settings
    checks = (site / "reference/checks.html").read_text(encoding="utf-8")
    assert "a line counts once" in checks
    files = (site / "reference/files.html").read_text(encoding="utf-8")
    assert files.count(".odcs.yaml") >= 16
    assert "sales.tds" in files


def test_the_site_shows_every_document(site: Path) -> None:
    shown = {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html")}
    assert {
        path.relative_to(PROJECT / "docs").with_suffix("").as_posix() for path in PROJECT.glob("docs/**/*.md")
    } <= shown


def shown_commands(document: Path) -> Iterator[str]:
    """What a document shows as a call of `insightmart`, in blocks and in code spans, without what stands in quotes."""
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"(?ms)^ *```[a-z]*\n(.*?)^ *```", text)
    spans = re.findall(r"`([^`]+)`", re.sub(r"(?ms)^ *```.*?^ *```", "", text))
    for code in [*blocks, *spans]:
        joined = re.sub(r"\\\n\s*", " ", code)
        unquoted = re.sub(r"\"[^\"]*\"|'[^'\n]*'", "QUOTED", joined)
        yield from re.findall(
            r"(?:^|[\s/$(&;])insightmart (?!and )((?:[a-z]|--)[^\n|>#&;)]*)", " " + " ".join(unquoted.split(" "))
        )


def mistake(call: str) -> str:
    """What is wrong with a call; nothing, where click knows its command and every option of it."""
    command: click.Command = cli
    context = click.Context(cli)
    for word in re.sub(r"[\[\]]", " ", call).split():
        if word.startswith("-") and word != "-":
            name = word.split("=")[0].rstrip(",.")
            known = {option for one in command.get_params(context) for option in one.opts + one.secondary_opts}
            if name not in known:
                return f"{command.name} has no option {name}"
        elif isinstance(command, click.Group):
            # these get all of it handed over, and are packages of their own
            others = {"sandbox": sandbox, "sqlmesh": sqlmesh}
            found = others.get(word) or command.get_command(context, word.rstrip(",.:"))
            if found is None:
                return f"there is no command {word}" if word.islower() else ""
            command, context = found, click.Context(found)
    return ""


def test_the_commands_that_documents_show_exist_with_their_options() -> None:
    shown = [(document.name, call) for document in DOCUMENTS for call in shown_commands(document)]
    assert len(shown) > 150
    assert {f"{name}: insightmart {call.strip()}: {wrong}" for name, call in shown if (wrong := mistake(call))} == set()
    assert mistake("sql --cvs") == "sql has no option --cvs"
    assert mistake("quarantine lisst") == "there is no command lisst"
