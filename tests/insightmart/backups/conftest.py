"""A home with a warehouse made by hand, and a state that says little more than which layout it has."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from sqlmesh.core.state_sync.base import SCHEMA_VERSION

from ingestion.clock import utc_now
from ingestion.warehouse import open_duckdb
from insightmart.backups.making import make_copy
from insightmart.backups.shelf import shelf_of
from insightmart.ledger.recording import note
from insightmart.readers.publishing import publish_copy
from insightmart.recorded_settings import keep_or_refuse
from insightmart.settings import Settings
from tests.support.built_homes import SHAPE, copy_home
from tests.support.handmade_warehouse import Business
from tests.support.workshop import CommandLine


class Copied:
    """A home that was copied once, and written to since."""

    def __init__(self, settings: Settings, insightmart: CommandLine) -> None:
        self.settings, self.home, self.insightmart = settings, settings.home, insightmart

    def said(self, *arguments: str) -> str:
        """What a successful command prints."""
        code, out, err = self.insightmart(*arguments)
        assert code == 0, err
        return out

    def refused(self, *arguments: str, code: int = 1) -> str:
        """The one line of a command that ends with this code."""
        ended, _, err = self.insightmart(*arguments)
        assert ended == code, err
        (line,) = [line for line in err.splitlines() if line.startswith("insightmart: ")]
        return line

    @property
    def copies(self) -> list[Path]:
        """Folders of the copies in the home, the oldest first."""
        return sorted((self.home / "backups").iterdir())

    @property
    def last_copied(self) -> int:
        """Number of the last entry of the ledger in the latest copy."""
        found: int = json.loads((self.copies[-1] / "manifest.json").read_text(encoding="utf-8"))["ledger_sequence"]
        return found

    def files(self) -> dict[str, bytes]:
        """What stands in the home under the names of the two files."""
        paths = (self.settings.database_path, self.settings.state_path)
        return {path.name: path.read_bytes() for path in paths if path.exists()}

    def entries(self) -> list[tuple[int, str]]:
        """Numbers and kinds of the ledger."""
        with duckdb.connect(str(self.settings.database_path), read_only=True) as connection:
            return connection.execute("SELECT sequence, kind FROM ops.ledger ORDER BY sequence").fetchall()


@pytest.fixture(scope="session")
def copied_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copy has the first entries; the last one, a note, and a table of the state are not in it."""
    home = tmp_path_factory.mktemp("copied")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SHAPE, "INSIGHTMART_HOME": str(home), "INSIGHTMART_GATEWAY": "local"}.items():
            patch.setenv(name, value)
        settings = Settings(home=home, _env_file=None)  # type: ignore[call-arg]
        with open_duckdb(settings.database_path) as warehouse:
            Business(warehouse)
            keep_or_refuse(warehouse, settings)
            note(warehouse, settings, "before")
        with duckdb.connect(str(settings.state_path)) as state:
            state.execute("CREATE SCHEMA sqlmesh")
            state.execute("CREATE TABLE sqlmesh._versions (schema_version INT, sqlmesh_version VARCHAR)")
            state.execute("INSERT INTO sqlmesh._versions VALUES (?, 'as installed')", [SCHEMA_VERSION])
        # names of copies have seconds, and a test makes the next one at once
        patch.setattr("insightmart.backups.making.utc_now", lambda: utc_now() - timedelta(hours=1))
        make_copy(settings, shelf_of(settings), 7)
        with open_duckdb(settings.database_path) as warehouse:
            note(warehouse, settings, "gave up nothing")
            publish_copy(warehouse, home)
        with duckdb.connect(str(settings.state_path)) as state:
            state.execute("CREATE TABLE sqlmesh.later AS SELECT 1 AS one")
    return home


@pytest.fixture
def copied(copied_home: Path, settings: Settings, insightmart: CommandLine) -> Copied:
    """That home for one test, which may spoil it."""
    copy_home(copied_home, settings.home)
    return Copied(settings, insightmart)
