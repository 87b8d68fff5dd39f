"""Questions about rows that a source no longer shows, in words: what is missing, what to do, who can say it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from ingestion.loading.deletions import Question, questions
from ingestion.warehouse import Warehouse
from insightmart.runs import ProblemKind, RunProblem

OWNERS = {"oltp": "operations", "shopify": "e-commerce", "stores": "store-operations"}


@dataclass(frozen=True)
class AskedOfEntity:
    """The open questions of one entity."""

    source: str
    entity: str
    questions: tuple[Question, ...]

    @property
    def what(self) -> str:
        """What is missing, in a line without a full stop."""
        name = f"{self.source} {self.entity}"
        known = sum(question.missing.known for question in self.questions)
        missing = sum(question.missing.rows for question in self.questions)
        if self.is_waited_for:
            return f"{name}: the source holds nothing, {known:,} rows of it are known; it was not read, its hours wait"
        days = sorted({question.day for question in self.questions if question.day})
        when = f"{days[0]}" if len(days) == 1 else f"{days[0]} to {days[-1]}"
        return (
            f"{name}: {missing:,} of {known:,} rows known of {when} are no longer at the source; none was deleted here"
        )

    @property
    def is_waited_for(self) -> bool:
        """Whether the entity is not read before somebody has answered, so that its hours wait."""
        return any(question.is_whole_table for question in self.questions)

    @property
    def cure(self) -> str:
        """What to do, for either answer."""
        ids = " ".join(question.question_id for question in self.questions)
        return (
            f"Were they deleted? Then `insightmart deletions confirm {ids} --reason TEXT`. Otherwise find out what"
            " hides them (a right, a filter, a restore): when they are back the question closes by itself"
        )

    @property
    def owner(self) -> str:
        """Who can say whether they were deleted."""
        return OWNERS[self.source]

    @property
    def problem(self) -> RunProblem:
        """The questions as something that a run met."""
        return RunProblem(ProblemKind.DELETIONS, f"{self.source}.{self.entity}", self.what, self.cure)


def by_entity(asked: Iterable[Question]) -> list[AskedOfEntity]:
    """Questions put together by entity; they come in order of source and entity."""
    groups = groupby(asked, key=lambda question: (question.source, question.entity))
    return [AskedOfEntity(source, entity, tuple(group)) for (source, entity), group in groups]


def open_questions(warehouse: Warehouse, source: str | None = None) -> list[AskedOfEntity]:
    """What is asked and not answered, of one source or of all."""
    return by_entity(one for one in questions(warehouse, ["open"]) if source in (None, one.source))
