"""A statement that fakesnow's seventy steps change where it stands.

By themselves each would copy all of it and find its way through the copy, though most of them change nothing: that was
more than half of what translating a statement took. Here a step is only shown the parts that it may change: those of
the classes that its code names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from functools import partial
from itertools import chain
from types import CodeType, FunctionType, ModuleType
from typing import Any

from sqlglot import exp

_KNOWN: dict[CodeType, tuple[type, ...]] = {}


def _classes(step: Callable[..., Any]) -> tuple[type, ...]:
    """The classes of expressions that a step names, or a function of fakesnow that it calls; all, if none is named."""
    code = step.__code__
    if code not in _KNOWN:
        named: set[type] = set()
        _name(code, step.__globals__, named, set())
        _KNOWN[code] = tuple(named) or (exp.Expr,)
    return _KNOWN[code]


def _name(code: CodeType, names: dict[str, Any], known: set[type], seen: set[CodeType]) -> None:
    seen.add(code)
    modules = [found for name in code.co_names if isinstance(found := names.get(name), ModuleType)]
    for name in code.co_names:
        for found in (names.get(name), *(getattr(module, name, None) for module in modules)):
            if isinstance(found, type) and issubclass(found, exp.Expr):
                known.add(found)
            elif isinstance(found, FunctionType) and found.__code__ not in seen and _is_near(found):
                _name(found.__code__, found.__globals__, known, seen)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            _name(inner, names, known, seen)


def _is_near(function: FunctionType) -> bool:
    return function.__module__.startswith(("fakesnow", "tests."))


class InPlace:
    """A statement that is handed from step to step."""

    def __init__(self, statement: Any) -> None:
        self._walk(statement)

    def _walk(self, statement: Any) -> None:
        """Note each part in the order in which a step sees it, where it is and what it holds."""
        self.statement = statement
        self._parts = [
            (part, tuple(part.args.values()), (part.parent, part.arg_key, part.index)) for part in statement.dfs()
        ]
        self._of_class: dict[type, list[int]] = defaultdict(list)
        for number, (part, *_) in enumerate(self._parts):
            self._of_class[type(part)].append(number)
            part._hash = None
        hash(statement)  # each part keeps it until it is changed, or one below it

    def transform(self, change: Callable[..., Any], *arguments: Any, **named: Any) -> InPlace:
        classes = _classes(change)
        shown = [numbers for one, numbers in self._of_class.items() if issubclass(one, classes)]
        for number in sorted(chain.from_iterable(shown)):
            part, holds, place = self._parts[number]
            changed = change(part, *arguments, **named)
            if changed is not part or self.statement._hash is None or tuple(part.args.values()) != holds:
                seen = {id(one) for one, *_ in self._parts[:number]}
                self._go_on(seen, part, place, changed, partial(change, **named), arguments)
                break
        return self

    def _go_on(
        self,
        seen: Collection[int],
        part: Any,
        place: tuple[Any, ...],
        changed: Any,
        change: Callable[..., Any],
        arguments: tuple[Any, ...],
    ) -> None:
        """A step that has changed a part goes on as sqlglot does, which knows what is still to be seen then."""
        now = part.parent, part.arg_key, part.index  # which may be within what takes its place
        part.parent, part.arg_key, part.index = place

        def go_on(one: Any) -> Any:
            if one is part:
                part.parent, part.arg_key, part.index = now
                return changed
            return one if id(one) in seen else change(one, *arguments)

        self._walk(self.statement.transform(go_on, copy=False))
