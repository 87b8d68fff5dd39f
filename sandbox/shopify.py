"""A simulator of the Shopify Admin GraphQL API, version 2026-10, over loopback HTTP.

It speaks the published schema's shapes (shopify_admin_2026-10.graphql is a true subset of it): every query is parsed
and validated with graphql-core, then answered from the shop's documents by an executor of its own, because that of
graphql-core serves only a few hundred orders a second. Points are charged before a query runs, from a bucket that
refills at a constant rate; Shopify does not publish its formula, so the costs are those that people have measured.

Faults that the generator switches through `Shop.set_fault` (every N-th request, counted from the start of the server):
`down` {"mode": "503" | "refuse" | "hang"}, `throttle_every` {"n"}, `internal_error_every` {"n"},
`http_429_every` {"n", "retry_after"}, `truncate_every` {"n"}, `revoked_token` {}, `wrong_version` {"version"},
`missing_scope` {}, `slow_bucket` {"maximum", "restore_rate"}.
"""

from __future__ import annotations

import argparse
import hmac
import itertools
import math
import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    parse,
    validate,
)
from graphql.execution.values import get_argument_values, get_variable_values

from sandbox.shop import Shop
from sandbox.shopify_objects import FIELDS, ApiError, Request

VERSION = "2026-10"
PATH = f"/admin/api/{VERSION}/graphql.json"
MAX_QUERY_COST = 1000
BUCKET = {"maximum": 20_000, "restore_rate": 1_000}  # Shopify Plus restores 1,000 points a second
FREE_TYPES = {"PageInfo", "MoneyV2", "MoneyBag"}
SCHEMA_FILE = Path(__file__).with_name("shopify_admin_2026-10.graphql")

Selection = list[tuple[str, Callable[[Any], Any]]]


@lru_cache(maxsize=1)
def schema() -> GraphQLSchema:
    """The served part of the Admin API's schema."""
    return build_schema(SCHEMA_FILE.read_text(encoding="utf-8"))


@lru_cache(maxsize=256)
def _parsed(query: str) -> tuple[DocumentNode | None, tuple[GraphQLError, ...]]:
    try:
        document = parse(query)
    except GraphQLError as error:
        return None, (error,)
    return document, tuple(validate(schema(), document))


# --- cost --------------------------------------------------------------------------------------------------------


def query_cost(selections: SelectionSetNode, kind: GraphQLObjectType, variables: Mapping[str, Any]) -> int:
    """Points of a selection: an object costs 1, a scalar nothing, a connection grows with the logarithm of its size."""
    total = 0
    for node in selections.selections:
        assert isinstance(node, FieldNode)
        declared = kind.fields[node.name.value]
        child = get_named_type(declared.type)
        if is_leaf_type(child) or not node.selection_set:
            continue
        inner = query_cost(node.selection_set, child, variables)
        size = get_argument_values(declared, node, dict(variables)).get("first")
        if child.name.endswith("Connection") or (size and _is_list(declared.type)):
            total += 2 + math.floor(2 * math.log(max(2, size or 2))) * max(1, inner)
        elif child.name.endswith("Edge"):
            total += inner
        else:
            total += inner + (0 if child.name in FREE_TYPES else 1)
    return total


def _is_list(kind: Any) -> bool:
    return bool(is_list_type(kind.of_type if is_non_null_type(kind) else kind))


class Bucket:
    """The points that are left; refills with time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._available: float = BUCKET["maximum"]
        self._at = time.monotonic()

    def charge(self, cost: int, limits: Mapping[str, Any]) -> tuple[bool, dict[str, Any]]:
        """Take points if there are enough; the second value is Shopify's throttleStatus afterwards."""
        with self._lock:
            now = time.monotonic()
            refilled = self._available + (now - self._at) * limits["restore_rate"]
            self._available, self._at = min(limits["maximum"], refilled), now
            affordable = cost <= self._available
            if affordable:
                self._available -= cost
            status = {
                "maximumAvailable": float(limits["maximum"]),
                "currentlyAvailable": int(self._available),
                "restoreRate": float(limits["restore_rate"]),
            }
            return affordable, status


# --- execution ---------------------------------------------------------------------------------------------------


def _compiled(
    selections: SelectionSetNode, kind: GraphQLObjectType, variables: Mapping[str, Any], request: Request
) -> Callable[[Any], Any]:
    """A function that turns an object into its answer. Compiled once a request, then run for every object."""
    parts: Selection = []
    for node in selections.selections:
        assert isinstance(node, FieldNode)
        parts.append((node.alias.value if node.alias else node.name.value, _field(node, kind, variables, request)))

    def answer(item: Any) -> Any:
        if item is None:
            return None
        if isinstance(item, list):
            return [answer(entry) for entry in item]
        return {name: read(item) for name, read in parts}

    return answer


def _field(
    node: FieldNode, kind: GraphQLObjectType, variables: Mapping[str, Any], request: Request
) -> Callable[[Any], Any]:
    if node.name.value == "__typename":
        return lambda _: kind.name
    declared = kind.fields[node.name.value]
    arguments = get_argument_values(declared, node, dict(variables))
    read = FIELDS[kind.name][node.name.value]
    if not node.selection_set:
        return lambda item: read(item, arguments, request)
    below = _compiled(node.selection_set, get_named_type(declared.type), variables, request)
    return lambda item: below(read(item, arguments, request))


def _operation(document: DocumentNode) -> OperationDefinitionNode:
    found = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(found) != 1 or len(document.definitions) != 1:
        raise ApiError("the simulator takes one operation without fragments", "BAD_USER_INPUT")
    return found[0]


def _error(message: str, code: str, **more: Any) -> dict[str, Any]:
    return {"message": message, "extensions": {"code": code, **more}}


class Api:
    """Answers request bodies; counts requests, so that every N-th can fail."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.bucket = Bucket()
        self._requests = itertools.count(1)

    def strikes(self, faults: Mapping[str, Mapping[str, Any]]) -> set[str]:
        """Which of the every-N-th faults hit this request."""
        number = next(self._requests)
        return {name for name, value in faults.items() if "n" in value and number % int(value["n"]) == 0}

    def answer(self, body: bytes, faults: Mapping[str, Mapping[str, Any]], strikes: set[str]) -> dict[str, Any]:
        """The JSON answer to one request."""
        try:
            asked = orjson.loads(body)
            query, given = str(asked["query"]), asked.get("variables") or {}
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return {"errors": [_error("The request is no GraphQL request", "BAD_REQUEST")]}
        document, problems = _parsed(query)
        if document is None or problems:
            return {"errors": [{"message": problem.message} for problem in problems]}
        try:
            return self._execute(_operation(document), given, faults, strikes)
        except ApiError as error:
            return {"errors": [_error(str(error), error.code)]}

    def _execute(
        self,
        operation: OperationDefinitionNode,
        given: dict[str, Any],
        faults: Mapping[str, Mapping[str, Any]],
        strikes: set[str],
    ) -> dict[str, Any]:
        variables = get_variable_values(schema(), operation.variable_definitions or (), given)
        if isinstance(variables, list):
            return {"errors": [{"message": problem.message} for problem in variables]}
        root = schema().query_type
        assert root is not None
        cost = query_cost(operation.selection_set, root, variables)
        if cost > MAX_QUERY_COST:
            message = f"Query cost is {cost}, which exceeds the single query max cost limit ({MAX_QUERY_COST})."
            return {"errors": [_error(message, "MAX_COST_EXCEEDED", cost=cost, maxCost=MAX_QUERY_COST)]}
        affordable, status = self.bucket.charge(cost, {**BUCKET, **faults.get("slow_bucket", {})})
        charged = {"requestedQueryCost": cost, "actualQueryCost": None, "throttleStatus": status}
        if not affordable or "throttle_every" in strikes:
            return {"errors": [_error("Throttled", "THROTTLED")], "extensions": {"cost": charged}}
        if "internal_error_every" in strikes:
            message = "Internal error. Looks like something went wrong on our end."
            return {"errors": [_error(message, "INTERNAL_SERVER_ERROR")], "extensions": {"cost": charged}}
        request = Request(self.shop, faults)
        data = _compiled(operation.selection_set, root, variables, request)({})
        return {"data": data, "extensions": {"cost": {**charged, "actualQueryCost": cost}}}


# --- HTTP --------------------------------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        faults = self.server.api.shop.faults()
        strikes = self.server.api.strikes(faults)
        if (down := faults.get("down")) is not None:
            self._be_down(str(down.get("mode", "503")))
        elif "http_429_every" in strikes:
            seconds = faults["http_429_every"].get("retry_after", 1)
            self._send(429, b'{"errors":"Too Many Requests"}', {"Retry-After": str(seconds)})
        elif self.path != PATH:
            self._send(404, b'{"errors":"Not Found"}')
        elif not self._authorised() or "revoked_token" in faults:
            refusal = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            self._send(401, orjson.dumps({"errors": refusal}))
        else:
            answer = orjson.dumps(self.server.api.answer(body, faults, strikes))
            version = str(faults.get("wrong_version", {}).get("version", VERSION))
            cut = len(answer) // 2 if "truncate_every" in strikes else None
            self._send(200, answer[:cut], {"X-Shopify-API-Version": version})

    def do_GET(self) -> None:
        self._send(404, b'{"errors":"Not Found"}')

    def _authorised(self) -> bool:
        return hmac.compare_digest(self.headers.get("X-Shopify-Access-Token") or "", self.server.token)

    def _be_down(self, mode: str) -> None:
        if mode == "hang":
            self.server.stopping.wait()
        if mode in ("hang", "refuse"):  # the nearest to a closed port that one request can see
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(503, b'{"errors":"Service Unavailable"}')

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, shop: Shop, token: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.api = Api(shop)
        self.token = token
        self.stopping = threading.Event()

    def shutdown(self) -> None:
        self.stopping.set()
        super().shutdown()


def create_server(shop_path: Path, token: str, port: int = 0) -> ThreadingHTTPServer:
    """A server on 127.0.0.1, bound and not yet serving; port 0 takes a free one, `server_address` says which."""
    return _Server(port, Shop(shop_path), token)


def main() -> None:
    """Run the simulator until it is ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shop", type=Path, required=True, help="the shop's SQLite file")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token-file", type=Path, required=True, help="file that holds the access token")
    arguments = parser.parse_args()
    token = arguments.token_file.read_text(encoding="utf-8").strip()
    create_server(arguments.shop, token, arguments.port).serve_forever()


if __name__ == "__main__":
    main()
