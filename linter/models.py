"""What `sqlmesh lint` asks of every model of the project; config.yaml turns the rules on.

SQLMesh loads this folder with the project, and a plan runs the linter before it changes anything. A rule is known by
its class name in lower case.
"""

from __future__ import annotations

from sqlglot import exp
from sqlmesh.core.linter.rule import Rule, RuleViolation
from sqlmesh.core.model import Model, SqlModel

# Whoever can be asked about a model, a rule, a metric or a check.
OWNERS = ("data-engineering", "e-commerce", "finance", "operations", "store-operations")
LONGEST_DESCRIPTION = 240  # characters


def _layer(model: Model) -> str | None:
    """The schema of a model; None for a table that other programs write."""
    return None if model.kind.is_external else model.fully_qualified_table.db.lower()


def _short_name(fqn: str) -> str:
    """``layer.table`` of the full name of a model."""
    table = exp.to_table(fqn)
    return f"{table.db}.{table.name}".lower()


class OwnerIsATeam(Rule):
    """A model names the team that answers for it: one of those in linter/models.py."""

    def check_model(self, model: Model) -> RuleViolation | None:
        if _layer(model) is None or model.owner in OWNERS:
            return None
        return self.violation(f"The owner {model.owner or 'is missing; it'} should be one of: {', '.join(OWNERS)}.")


class DescriptionIsThere(Rule):
    """A model says what one of its rows is: give it a description."""

    def check_model(self, model: Model) -> RuleViolation | None:
        return None if _layer(model) is None or (model.description or "").strip() else self.violation()


class DescriptionIsShort(Rule):
    """A description is a sentence or two; caveats stand as comments where the SQL heeds them, or in docs/models.md."""

    def check_model(self, model: Model) -> RuleViolation | None:
        length = len(model.description or "")
        if _layer(model) is None or length <= LONGEST_DESCRIPTION:
            return None
        return self.violation(
            f"The description has {length} characters; {LONGEST_DESCRIPTION} are enough for a reader."
        )


class GrainIsThere(Rule):
    """A model names the columns that make a row unique: give it a grain. One that hands on whole rows has theirs."""

    def check_model(self, model: Model) -> RuleViolation | None:
        if _layer(model) is None or model.grains or (isinstance(model, SqlModel) and model.query.is_star):
            return None
        return self.violation()


class PublishedColumnsAreCommented(Rule):
    """Every column of certified says what it means, and so does its candidate in core."""

    def check_model(self, model: Model) -> RuleViolation | None:
        is_step = _layer(model) == "core" and model.fully_qualified_table.name.startswith("_")
        if _layer(model) not in ("certified", "core") or is_step:
            return None
        comments = model.column_descriptions or {}
        bare = [column.lower() for column in model.columns_to_types or {} if not comments.get(column)]
        if not bare:
            return None
        return self.violation(
            f"No meaning is written for: {', '.join(bare)}. Write it in models/certified/columns.yml, then `make docs`."
        )


class CoreIsAudited(Rule):
    """Figures come from core, so each of its models has an audit, at least of its grain."""

    def check_model(self, model: Model) -> RuleViolation | None:
        return self.violation() if _layer(model) == "core" and not model.audits else None


class StepsStayInside(Rule):
    """What begins with _ is a step between models (docs/naming.md): only staging, quarantine and core read one."""

    def check_model(self, model: Model) -> RuleViolation | None:
        if _layer(model) in (None, "staging", "quarantine", "core"):
            return None
        steps = sorted(name for name in map(_short_name, model.depends_on or ()) if name.split(".")[1].startswith("_"))
        return self.violation(f"It reads {', '.join(steps)}.") if steps else None
