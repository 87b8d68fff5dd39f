"""Events of OpenLineage as an end receives them, read back by the library's own classes, which refuse what is amiss."""

from __future__ import annotations

import enum
import json
import threading
import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attr
from openlineage.client import facet_v2
from openlineage.client.generated import base
from openlineage.client.serde import Serde

FACETS = {
    name: kind
    for module in vars(facet_v2).values()
    if isinstance(module, types.ModuleType)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, base.BaseFacet)
}


def checked(event: dict[str, Any]) -> dict[str, Any]:
    """The event, having been read by the library's classes and written again to the same.

    Raises:
        AssertionError, TypeError, ValueError: a key is missing, unknown or of another type.
    """
    kind = {"RunEvent": base.RunEvent, "JobEvent": base.JobEvent}[event["schemaURL"].rpartition("/")[2]]
    assert _filled(Serde.to_dict(_read(kind, event))) == _filled(event)
    return event


def _read(kind: Any, value: Any) -> Any:
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _read(next(one for one in inside if one is not type(None)), value)
    if origin is list:
        assert isinstance(value, list)
        return [_read(inside[0], item) for item in value]
    if origin is dict:
        assert isinstance(value, dict)
        return {key: _read(inside[1], item) for key, item in value.items()}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(value)
    if not attr.has(kind):
        assert kind is Any or isinstance(value, kind), (kind, value)
        return value
    if issubclass(kind, base.BaseFacet):
        kind = FACETS[value["_schemaURL"].rpartition("/")[2]]
    fields = {field.name: field for field in attr.fields(attr.resolve_types(kind))}
    assert value.keys() <= fields.keys(), f"{kind.__name__} has no {value.keys() - fields.keys()}"
    given = {
        field.alias: _read(field.type, value[name]) for name, field in fields.items() if field.init and name in value
    }
    return kind(**given)


def _filled(value: Any) -> Any:
    """A value without what is empty, which the library writes or leaves out as it likes."""
    if isinstance(value, dict):
        return {key: _filled(item) for key, item in value.items() if item not in (None, {}, [])}
    return [_filled(item) for item in value] if isinstance(value, list) else value


class Collector:
    """An end that takes events, on a free port of this machine."""

    def __init__(self, status: int = 201) -> None:
        self.received: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/api/v1/lineage"
                collector.received.append(json.loads(body))
                collector.headers.append(dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def of(self, job: str) -> list[dict[str, Any]]:
        """The events of a job."""
        return [event for event in self.received if event["job"]["name"] == job]


@contextmanager
def collecting(status: int = 201) -> Iterator[Collector]:
    """An end that answers with this status."""
    collector = Collector(status)
    thread = threading.Thread(target=collector.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        collector.server.server_close()
