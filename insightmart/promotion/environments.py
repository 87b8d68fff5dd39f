"""The project's files, an environment and prod, as SQLMesh's state has them at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.promotion.windows import utc
from insightmart.transform.model_graph import PROD
from insightmart.transform.transformer import Transformer

if TYPE_CHECKING:
    from sqlmesh.core.environment import Environment
    from sqlmesh.core.snapshot import Snapshot


class Environments:
    """The project's files, an environment and prod, as SQLMesh's state has them at one moment.

    Raises:
        ConfigurationError: the environment cannot be promoted at all, for example because it does not exist.
        InsightMartError: a plan of the environment or of prod has not finished.
    """

    def __init__(self, transformer: Transformer, name: str) -> None:
        from sqlmesh.core.environment import Environment

        self.transformer = transformer
        self.context = transformer.context
        self.name = Environment.sanitize_name(name)
        if self.name == PROD:
            raise ConfigurationError("prod is what an environment is promoted to", "Name another one, for example dev")
        self.prod = self._environment(PROD, "Run `insightmart cycle` first")
        self.candidate = self._environment(self.name, f"Build it with `sqlmesh plan {self.name}`")
        self.local = dict(self.context.snapshots)
        self.before = self._snapshots(self.prod)
        self.after = self._snapshots(self.candidate)

    def _environment(self, name: str, cure: str) -> Environment:
        reader = self.context.state_reader
        found = reader.get_environment(name)
        if found is None:
            known = ", ".join(sorted(e.name for e in reader.get_environments_summary() if e.name != PROD)) or "none"
            raise ConfigurationError(f"there is no environment {name!r} (there is: {known})", cure)
        if found.finalized_ts is None:
            again = f"Run `sqlmesh plan {name}` again"
            cure = "`insightmart promote` without --dry-run finishes it, and so does a cycle" if name == PROD else again
            raise InsightMartError(f"the last plan of {name} has not finished", cure)
        return found

    def _snapshots(self, environment: Environment) -> dict[str, Snapshot]:
        found = self.context.state_reader.get_snapshots(environment.snapshots).values()
        return {snapshot.name: snapshot for snapshot in found}

    @property
    def project(self) -> Path:
        """Where the project's files are."""
        return Path(self.context.path)

    @property
    def plan_ids(self) -> tuple[str, str]:
        """What changes when either environment is planned again."""
        return self.candidate.plan_id, self.prod.plan_id

    @property
    def built_at(self) -> datetime:
        """When the environment was planned last, UTC."""
        return utc(self.candidate.finalized_ts)

    @property
    def changed(self) -> list[str]:
        """SQLMesh names of the models that prod would get in another version, or would lose, in order of evaluation."""
        names = {**self.before, **self.after}
        differing = {name for name in names if version_id(self.before, name) != version_id(self.after, name)}
        return [name for name in self.context.dag.sorted if name in differing] + sorted(
            differing - set(self.context.dag.sorted)
        )


def version_id(snapshots: Mapping[str, Snapshot], name: str) -> Any:
    """Which version of a model, definition and everything above it."""
    return snapshots[name].snapshot_id if name in snapshots else None


def table_version(snapshots: Mapping[str, Snapshot], name: str) -> str | None:
    """Which physical table a model has."""
    return snapshots[name].version if name in snapshots else None
