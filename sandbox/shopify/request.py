"""What a field of the API can know of its request, ids, and the errors it may answer with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sandbox.shopify.shop import Shop

MAX_PAGE = 250


class ApiError(Exception):
    """An error the API reports in its answer; `code` goes into extensions."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Operations(Protocol):
    """The bulk operations of the server, as the API's fields call them (`sandbox.shopify.bulk`)."""

    def run(self, query: str, grouped: bool, request: Request) -> dict[str, Any]:
        """Start one."""

    def cancel(self, identity: str) -> dict[str, Any]:
        """Ask one to end."""

    def one(self, identity: str) -> dict[str, Any] | None:
        """One of them by its id."""

    def all(self) -> list[dict[str, Any]]:
        """All of them, latest first."""

    def current(self) -> dict[str, Any] | None:
        """The one that was started last."""


@dataclass(frozen=True)
class Request:
    """What the fields of one request know: the shop, the faults that are on, and the server's bulk operations."""

    shop: Shop
    faults: Mapping[str, Mapping[str, Any]]
    bulk: Operations


Field = Callable[[Any, Mapping[str, Any], Request], Any]


def gid(kind: str, number: int) -> str:
    """The global id of an object."""
    return f"gid://shopify/{kind}/{number}"


def number_of(identity: str) -> int:
    """The number of a global id. Raises ApiError for a malformed one."""
    try:
        return int(str(identity).rsplit("/", 1)[-1])
    except ValueError:
        raise ApiError(f"Invalid global id '{identity}'", "BAD_USER_INPUT") from None
