"""A change to what SQLMesh imports, to be made before it is: names of time zones are made searchable when asked for.

SQLMesh reads dates in words with dateparser, which compiles 775 regular expressions of the names of time zones when it
is imported, a tenth of what all imports cost, and then tries one after the other. Hardly any process reads a date in
words, and none of ours with a time zone. Seen on dateparser 1.2.1, the last one that SQLMesh 0.236 takes.
"""

from __future__ import annotations

import sys
from typing import Any

import regex

MODULE = "dateparser.timezone_parser"


class CompiledLater:
    """A regular expression that is compiled when something is asked of it."""

    compiled = 0  # how many have been

    def __init__(self, *given: Any) -> None:
        self._given = given

    def __getattr__(self, name: str) -> Any:
        if name == "_pattern":
            type(self).compiled += 1
            self._pattern = regex.compile(*self._given)
            return self._pattern
        return getattr(self._pattern, name)


def compiled_when_asked_for() -> None:
    """Import dateparser without compiling these expressions; where it is imported already, nothing is left to do."""
    if "dateparser" in sys.modules:
        return
    compile_now = regex.compile

    def compile_later(*given: Any, **named: Any) -> Any:
        if sys._getframe(1).f_globals.get("__name__") == MODULE and not named:
            return CompiledLater(*given)
        return compile_now(*given, **named)

    regex.compile = compile_later
    try:
        import dateparser  # noqa: F401
    finally:
        regex.compile = compile_now
