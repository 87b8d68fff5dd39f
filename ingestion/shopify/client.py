"""Talking to the Shopify Admin API: one GraphQL query in, its data out, with Shopify's rules for waiting and failing.

Shopify charges points for a query before running it and refills them at a constant rate. Every answer says how many
are left (``extensions.cost.throttleStatus``), so we wait just as long as the next query needs; no rate is hard-coded.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from ingestion.encryption import refuse_plain_request
from ingestion.loading.context import SourceError, TimeLimit
from ingestion.retries import told_of
from ingestion.shopify.odd_answers import ODD, as_asked, check_connection
from ingestion.shopify.received import SOURCE as SOURCE
from ingestion.shopify.received import Received, whole_body

VERSION_HEADER = "X-Shopify-API-Version"
MAX_THROTTLED = 100  # answers in a row; then somebody else is using up the shop's points
LONGEST_WAIT = 300.0  # seconds; when Shopify asks for more, the next run is soon enough
CONNECT_SECONDS = 5.0
DOWNLOAD_BLOCK = 1 << 20


@dataclass(frozen=True)
class ShopifySource:
    """How to reach the shop.

    Attributes:
        url: base of the shop, e.g. ``https://insightmart.myshopify.com``.
        token: Admin API access token.
        api_version: version of the Admin API that the queries are written for.
        location: name of the location online orders are served from (not needed when the shop has only one).
        timezone: the company's zone, which online business dates are of: the shop's own has to be the same.
        page_size: records a page, at most 250.
        timeout: seconds to wait for one answer.
        attempts: how often a request that failed is sent in all.
        retry_wait: the first of the doubling pauses between attempts, seconds.
        retry_budget: seconds after which a failing request is not repeated any more.
        pause: how to wait, in seconds.
    """

    url: str
    token: str = field(repr=False)
    api_version: str = "2026-10"
    location: str = "Online"
    timezone: str = "America/New_York"
    page_size: int = 250
    timeout: float = 15.0
    attempts: int = 5
    retry_wait: float = 0.5
    retry_budget: float = 20.0
    pause: Callable[[float], None] = time.sleep


class _TryAgainError(Exception):
    """An answer that another attempt may better; ``after`` seconds, when Shopify says how long to wait."""

    def __init__(self, cause: str, after: float | None = None, throttled: bool = False) -> None:
        self.cause = cause
        self.after = after
        self.throttled = throttled
        super().__init__(cause)


class _CostExceededError(Exception):
    """The query costs more than a single query may: ask for a smaller page."""


class FileGoneError(Exception):
    """The file of a bulk operation is not to be had at its address (any more)."""


class ShopifyClient:
    """A connection to one shop; use it in a ``with`` block. ``received`` takes in every answer; it may be replaced.

    Args:
        source: the shop.
        limit: after it nothing is asked any more, and no wait goes beyond it.
    """

    def __init__(self, source: ShopifySource, limit: TimeLimit | None = None) -> None:
        self.source = source
        self._limit = limit or TimeLimit(SOURCE)
        self.received = Received()
        self._path = f"/admin/api/{source.api_version}/graphql.json"
        self._points = _Points()
        try:
            self._http = httpx.Client(
                base_url=source.url,
                headers={"X-Shopify-Access-Token": source.token, "Content-Type": "application/json"},
                timeout=httpx.Timeout(source.timeout, connect=min(source.timeout, CONNECT_SECONDS)),
            )
        except (httpx.InvalidURL, UnicodeError):
            raise SourceError(SOURCE, "SHOPIFY_URL or SHOPIFY_TOKEN is malformed", "Correct the two settings") from None

    def __enter__(self) -> ShopifyClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def server_time(self) -> datetime:
        """The shop's clock, UTC without a zone: any answer tells it, and this one costs no points.

        Raises:
            SourceError: it does not answer, or does not say.
        """
        try:
            answer = self._http.head("/")
            return parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC).replace(tzinfo=None)
        except (httpx.HTTPError, KeyError, ValueError) as error:
            raise SourceError(SOURCE, f"the shop does not tell the time: {type(error).__name__}", "Run again") from None

    def query(self, document: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The data of one query.

        Raises:
            SourceError: Shopify refused it, or did not answer properly in several attempts.
        """
        try:
            return self._query(document, variables or {})
        except _CostExceededError:
            cure = "Report it: the query has to be smaller"
            raise SourceError(SOURCE, "a query costs more points than one query may", cure) from None

    def pages(
        self, document: str, variables: Mapping[str, Any], connection: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        """The data of each page of a connection, which ``connection`` finds in it.

        ``$first`` starts at the page size and is halved whenever a page costs too much, from the same cursor on.

        Raises:
            SourceError: a page has holes, or goes on where it has been: what it leaves out nobody would miss.
        """
        first, after = self.source.page_size, None
        seen: set[str | None] = {None}
        while True:
            try:
                data = self._query(document, {**variables, "first": first, "after": after})
            except _CostExceededError:
                if first == 1:
                    raise SourceError(
                        SOURCE, "a page of one record costs too many points", "Report it: the query has to be smaller"
                    ) from None
                first //= 2
                continue
            page = None
            with suppress(TypeError, LookupError):  # what is paged through is gone: its reader looks
                page = connection(data)
            info = check_connection(page) if page is not None else None
            yield data
            if info is None:
                raise SourceError(SOURCE, "a page is not there", ODD)
            if not info["hasNextPage"]:
                return
            after = info["endCursor"]
            if after in seen:
                raise SourceError(SOURCE, "a page says that there is more where it has been before", ODD)
            seen.add(after)

    def each(self, ids: Sequence[str], document: Callable[[int], str], at_once: int) -> Iterator[dict[str, Any] | None]:
        """Objects by their ids, several in one query: as many as ``at_once``, or as it may cost. None: it is gone.

        ``document`` writes the query of so many objects: the n-th is asked for by ``$idn`` and answered as ``on``.
        """
        place = 0
        while place < len(ids):
            part = ids[place : place + at_once]
            try:
                data = self._query(document(len(part)), {f"id{number}": one for number, one in enumerate(part)})
            except _CostExceededError:
                if at_once == 1:
                    cure = "Report it: the query has to be smaller"
                    raise SourceError(SOURCE, "a single record costs too many points", cure) from None
                at_once //= 2
                continue
            with as_asked():
                found = [data[f"o{number}"] for number in range(len(part))]
            yield from found
            place += len(part)

    def download(self, url: str, path: Path) -> None:
        """Put the file of a bulk operation there. Its address is secret: the access token is not sent to it.

        Raises:
            FileGoneError: there is no such file (any more).
            SourceError: it could not be downloaded whole in several attempts.
        """
        try:
            self._retrying(_Stop(self.source, self._limit))(self._download, url, path)
        except _TryAgainError as last:
            cause = f"the file of a bulk operation could not be downloaded: {last.cause}"
            raise SourceError(SOURCE, cause, "Run again: it goes on where it stopped") from None

    def _download(self, url: str, path: Path) -> None:
        received = Received()  # an attempt that broke off does not count
        try:
            with (
                httpx.Client(event_hooks={"request": [refuse_plain_request]}, timeout=self.source.timeout) as client,
                client.stream("GET", url, follow_redirects=True) as answer,
            ):
                if answer.status_code == 429 or answer.status_code >= 500:
                    raise _TryAgainError(f"HTTP {answer.status_code}", _retry_after(answer))
                if answer.status_code != 200:
                    raise FileGoneError
                with path.open("wb") as file:
                    for block in answer.iter_bytes(DOWNLOAD_BLOCK):
                        received.add(block)
                        file.write(block)
        except httpx.RequestError as error:
            raise _TryAgainError(type(error).__name__) from None
        self.received.add_file(received)

    def _retrying(self, stop: _Stop) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(_TryAgainError),
            stop=stop,
            wait=self._wait,
            sleep=self.source.pause,
            before_sleep=told_of("Shopify"),
            reraise=True,
        )

    def _query(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        stop = _Stop(self.source, self._limit)
        try:
            return self._retrying(stop)(self._attempt, document, variables)
        except _TryAgainError as last:
            raise SourceError(
                SOURCE,
                self._without_token(f"no proper answer in {stop.tries} attempts: {last.cause}"),
                "Check SHOPIFY_URL and https://www.shopifystatus.com; the next run reads the same window again",
            ) from None

    def _without_token(self, text: str) -> str:
        return text.replace(self.source.token or "\0", "***")

    def _wait(self, state: RetryCallState) -> float:
        error = _raised(state)
        return (
            error.after if error.after is not None else self.source.retry_wait * 2 ** min(state.attempt_number - 1, 4)
        )

    def _attempt(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        self._limit.check()
        if (seconds := self._points.seconds_until_affordable(document)) > 0:
            self.source.pause(min(seconds, LONGEST_WAIT, self._limit.left))
            self._limit.check()
        try:
            asked = orjson.dumps({"query": document, "variables": variables})
            with self._http.stream("POST", self._path, content=asked) as answer:
                content = whole_body(answer)
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError):
            raise SourceError(SOURCE, "SHOPIFY_URL or SHOPIFY_TOKEN is malformed", "Correct the two settings") from None
        except httpx.RequestError as error:
            raise _TryAgainError(f"{type(error).__name__} {error}") from None
        self.received.add(content)
        self._check_status(answer)
        try:
            body = orjson.loads(content)
        except orjson.JSONDecodeError:
            raise _TryAgainError("the answer broke off (JSON incomplete)") from None
        if not isinstance(body, dict):
            raise _TryAgainError("an answer that is no GraphQL answer")
        with suppress(AttributeError, LookupError, TypeError, ValueError):  # then it is not known what queries cost
            if cost := (body.get("extensions") or {}).get("cost"):
                self._points.update(document, cost)
        if body.get("errors"):
            self._raise(body["errors"], document)
        data = body.get("data")
        if not isinstance(data, dict):
            raise _TryAgainError("an answer without data")
        return data

    def _check_status(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if status == 429 or status >= 500:
            after = _retry_after(answer)
            longest = min(LONGEST_WAIT, self._limit.left)
            cause = f"HTTP {status}" + (f", to wait {after:,.0f} s: not now" if after and after > longest else "")
            raise _TryAgainError(cause, after, throttled=status == 429)
        if status in (401, 403):
            raise SourceError(
                SOURCE,
                f"the shop refused the access token (HTTP {status})",
                "Check SHOPIFY_TOKEN; where the app was removed from the shop, install it again and take its new token",
            )
        if status != 200:
            raise SourceError(
                SOURCE, f"the shop answered HTTP {status}", "Check SHOPIFY_URL, and that the shop is open and not moved"
            )
        version = answer.headers.get(VERSION_HEADER)
        if version != self.source.api_version:
            raise SourceError(
                SOURCE,
                f"the shop answered with API version {version}, not {self.source.api_version}",
                "The version has run out: move the queries to a supported one, against its schema",
            )

    def _raise(self, errors: Any, document: str) -> None:
        listed = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
        listed = listed or [{"message": str(errors)[:500]}]
        extensions = [error["extensions"] for error in listed if isinstance(error.get("extensions"), dict)]
        codes = {str(one.get("code")) for one in extensions}
        message = self._without_token("; ".join(str(error.get("message")) for error in listed))
        if "THROTTLED" in codes:
            raise _TryAgainError(message, self._points.seconds_until_affordable(document) or None, throttled=True)
        if "MAX_COST_EXCEEDED" in codes:
            raise _CostExceededError
        if codes & {"INTERNAL_SERVER_ERROR", "TIMEOUT"}:
            raise _TryAgainError(message)
        if "ACCESS_DENIED" in codes:
            raise SourceError(SOURCE, message, "Give the app this access scope in Shopify's admin, then run again")
        raise SourceError(SOURCE, message, "The query does not fit this API version; check it against the schema")


class _Stop:
    """When to give up one request: after a few failures or a short time; being throttled is waiting, not failing."""

    def __init__(self, source: ShopifySource, limit: TimeLimit) -> None:
        self.source = source
        self.limit = limit
        self.tries = 0
        self.failures = 0

    def __call__(self, state: RetryCallState) -> bool:
        self.tries = state.attempt_number
        if (_raised(state).after or 0.0) > min(LONGEST_WAIT, self.limit.left):
            return True
        if _raised(state).throttled:
            return self.tries - self.failures >= MAX_THROTTLED
        self.failures += 1
        elapsed = state.seconds_since_start or 0.0
        return self.failures >= self.source.attempts or elapsed >= self.source.retry_budget


class _Points:
    """The shop's point budget as the last answer told it, and what each query asked for."""

    def __init__(self) -> None:
        self.costs: dict[str, float] = {}
        self.available = self.maximum = self.rate = 0.0
        self.told_at = 0.0

    def update(self, document: str, cost: Mapping[str, Any]) -> None:
        """Take in ``extensions.cost`` of an answer."""
        if cost.get("requestedQueryCost") is not None:
            self.costs[document] = float(cost["requestedQueryCost"])
        if status := cost.get("throttleStatus"):
            told = [float(status[name]) for name in ("currentlyAvailable", "maximumAvailable", "restoreRate")]
            if all(map(math.isfinite, told)):
                self.available, self.maximum, self.rate = told
                self.told_at = time.monotonic()

    def seconds_until_affordable(self, document: str) -> float:
        """How long to wait until the budget holds what this query asked for last time; 0 when that is not known."""
        if not self.rate:
            return 0.0
        needed = min(self.costs.get(document, 0.0), self.maximum)
        now = self.available + self.rate * (time.monotonic() - self.told_at)
        return max(0.0, (needed - now) / self.rate)


def _raised(state: RetryCallState) -> _TryAgainError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, _TryAgainError)
    return error


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds to wait by the Retry-After header: a number, as Shopify sends it, or a date, as a proxy may."""
    text = answer.headers.get("Retry-After", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - _sent_at(answer)).total_seconds()
        except (TypeError, ValueError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _sent_at(answer: httpx.Response) -> datetime:
    """When the answer was sent, by the sender's clock where it says so."""
    text = answer.headers.get("Date")
    return parsedate_to_datetime(text) if text else datetime.now(UTC)
