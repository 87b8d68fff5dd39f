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
        """The first unit test that fails with a change, or the error that it causes; empty where all pass."""
        text = (self._project / change.path).read_text(encoding="utf-8")
        try:
            for model in self._changed(change, text):
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

    def _changed(self, change: Change, text: str) -> Iterator[Model]:
        """The models that the changed text is part of, with the change, the ones with the fewest tests first."""
        models = [model for model in self._context.models.values() if isinstance(model, SqlModel)]
        for model in sorted(models, key=lambda model: len(self._tests.get(model.fqn, []))):
            if change.path.suffix == ".sql" and model._path == self._project / change.path:
                query = query_of(change.applied_to(text))
                yield model.copy(update={"query_": ParsableSql(sql=query.strip())})
            elif change.path.suffix == ".yml" and model.name == f"staging._{_entity(text, change)}":
                yield _with_rules(model, change)
            elif change.path.suffix == ".py":
                before, after = _function(text, change), _function(change.applied_to(text), change)
                for name, executable in model.python_env.items():
                    if executable.payload == before:
                        replaced = executable.copy(update={"payload": after})
                        yield model.copy(update={"python_env": {**model.python_env, name: replaced}})


def _entity(text: str, change: Change) -> str:
    lines = text[: change.start].splitlines()
    return next(line for line in reversed(lines) if line[:1].isalpha()).rstrip(": ")


def _with_rules(model: SqlModel, change: Change) -> Model:
    """The model with the rule changed that stands in a line of rules.yml: the macro keeps its conditions as a value."""
    executable = model.python_env["conditions_of_entity"]
    conditions = ast.literal_eval(executable.payload)
    replaced = tuple((rule, change.whole_after if when == change.whole_before else when) for rule, when in conditions)
    if replaced == conditions:
        raise ValueError(f"{change}: no rule of {model.name} has this condition")
    update = {"conditions_of_entity": executable.copy(update={"payload": repr(replaced)})}
    return model.copy(update={"python_env": {**model.python_env, **update}})


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
