"""Runs the unit tests of the models that a change is part of: the project is loaded once, models change in memory."""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlmesh import Context
from sqlmesh.core.console import NoopConsole, set_console
from sqlmesh.core.model import Model, SqlModel
from sqlmesh.core.model.common import ParsableSql
from sqlmesh.core.test import ModelTestMetadata, run_tests
from sqlmesh.utils import UniqueKeyDict

from bench.mutants.changes import Change, query_of
from insightmart.definitions.rules import ROWS


class Trial:
    """The project, loaded once."""

    def __init__(self, project: Path) -> None:
        """Load the project in a folder."""
        set_console(NoopConsole())
        self._project = project
        self._context = Context(paths=[project])
        self._tests: dict[str, list[ModelTestMetadata]] = {}
        for test in self._context.select_tests():
            self._tests.setdefault(self._context.get_model(test.model_name, raise_if_missing=True).fqn, []).append(test)

    def failures(self) -> list[str]:
        """The unit tests that fail without any change, which would make every figure worthless."""
        return self._failures([test for tests in self._tests.values() for test in tests], {})

    def notices(self, change: Change) -> str:
        """The first unit test that fails with a change, or the error that it causes; empty where all pass.

        Raises ValueError where no model has the text that is changed: a change that is not tried says nothing.
        """
        text = (self._project / change.path).read_text(encoding="utf-8")
        models = list(self.changed(change, text))
        if not models:
            raise ValueError(f"{change}: no model has it")
        try:
            for model in models:
                if failures := self._failures(self._tests.get(model.fqn, []), {model.fqn: model}):
                    return failures[0]
        except Exception as error:  # noqa: BLE001 - what SQLMesh and the engine say to broken SQL is of many kinds
            return f"{type(error).__name__}: {str(error).splitlines()[0]}"
        return ""

    def _failures(self, tests: list[ModelTestMetadata], changed: dict[str, Model]) -> list[str]:
        if not tests:
            return []
        result = run_tests(
            model_test_metadata=tests,
            models=UniqueKeyDict("models", **{**self._context.models, **changed}),
            config=self._context.config,
            selected_gateway=self._context.selected_gateway,
            dialect=self._context.default_dialect,
            stream=io.StringIO(),
            default_catalog=self._context.default_catalog,
        )
        return [str(getattr(test, "test_name", test)) for test, _ in [*result.failures, *result.errors]]

    def changed(self, change: Change, text: str) -> Iterator[Model]:
        """The models that the changed text is part of, with the change, the ones with the fewest tests first."""
        models = [model for model in self._context.models.values() if isinstance(model, SqlModel)]
        for model in sorted(models, key=lambda model: len(self._tests.get(model.fqn, []))):
            if change.path.suffix == ".sql" and model._path == self._project / change.path:
                query = query_of(change.applied_to(text))
                yield model.copy(update={"query_": ParsableSql(sql=query.strip())})
            elif change.path.suffix == ".yml":
                yield from _with_rule(model, change, _rule(text, change))
            elif change.path.suffix == ".py":
                before, after = _function(text, change), _function(change.applied_to(text), change)
                for name, executable in model.python_env.items():
                    if executable.payload == before:
                        replaced = executable.copy(update={"payload": after})
                        yield model.copy(update={"python_env": {**model.python_env, name: replaced}})


def _rule(text: str, change: Change) -> tuple[str, str, str]:
    """Entity, group and id of the rule that a change of rules.yml stands in: the keys above it."""
    lines = text[: change.start].splitlines()

    def key(indentation: int) -> str:
        above = (line for line in reversed(lines) if len(line) - len(line.lstrip(" ")) == indentation)
        return next(line for line in above if line.strip() and not line.lstrip().startswith("#")).strip().rstrip(":")

    return key(0), key(2), key(4)


def _with_rule(model: SqlModel, change: Change, rule: tuple[str, str, str]) -> Iterator[Model]:
    """The model with a rule changed, if it splits by it: the macro of a group of rules keeps them as a value."""
    entity, group, rule_id = rule
    of_rows = group == ROWS
    if (f"failed_rules__{entity}" if of_rows else f"failed_rules__{entity}_{group}") not in model.python_env:
        return
    name = "conditions_of_rows" if of_rows else "conditions_of_group"
    executable = model.python_env[name]
    conditions = ast.literal_eval(executable.payload)
    known, changed = (rule_id, change.whole_before), (rule_id, change.whole_after)
    if known not in conditions:
        raise ValueError(f"{change}: no rule of {model.name} has this condition")
    replaced = tuple(changed if condition == known else condition for condition in conditions)
    update = {name: executable.copy(update={"payload": repr(replaced)})}
    yield model.copy(update={"python_env": {**model.python_env, **update}})


def _function(text: str, change: Change) -> str:
    """The function that a line of a macro's file stands in, as SQLMesh keeps it: without decorator and docstring."""
    functions = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and node.lineno <= change.line <= (node.end_lineno or 0)
    ]
    function: Any = functions[-1]
    function.decorator_list = []
    function.returns = None
    if ast.get_docstring(function) is not None:
        function.body = function.body[1:]
    return ast.unparse(function).strip()
