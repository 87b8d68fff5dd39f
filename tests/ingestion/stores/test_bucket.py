"""The bucket: what is read of it, and each failure with its cause."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from ingestion.loading.context import IngestContext, SourceError
from ingestion.retries import AGAIN
from ingestion.stores.bucket import StoreDrops
from ingestion.stores.csv.decode import MAX_BYTES
from ingestion.stores.source import ingest
from ingestion.warehouse import Warehouse
from tests.support.store_drops import HEADER, Answer, At, counts, covered, statuses
from tests.support.web_server import Quiet, serving

if TYPE_CHECKING:
    from conftest import Drops

pytestmark = pytest.mark.usefixtures("aws")


def test_an_object_that_grew_since_it_was_listed_is_not_read(at: At, warehouse: Warehouse) -> None:
    size = MAX_BYTES["inventory"] + 1

    def respond(path: str) -> Answer:
        if "list-type" in path:
            return 200, (LISTING if "inventory%2F2026%2F03%2F05" in path else "<ListBucketResult/>").encode()
        return size, b"CUT: the rest never comes"

    with answering(respond) as endpoint:
        ingest(at("2026-03-05T11:10"), StoreDrops("s3://shop/in", endpoint, attempts=1))
    assert warehouse.rows("SELECT rule_id FROM raw.rejects") == [("file_too_large",)]


ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 30))
BOMB = f'<!DOCTYPE b [<!ENTITY a0 "aaaaaaaaaa">{ENTITIES}]><ListBucketResult><Name>&a29;</Name></ListBucketResult>'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (BOMB.encode(), "it declares what its words stand for"),
        (BOMB.encode("utf-16"), "it declares what its words stand for"),
        (b"<ListBucketResult>" + b"<Contents><Key>a</Key></Contents>" * 600_000, "it has more than 16,777,216 bytes"),
    ],
    ids=["a bomb", "a bomb in UTF-16", "too long"],
)
@pytest.mark.parametrize("at_first", [True, False], ids=["the first answer", "the second of them"])
def test_an_answer_of_s3_that_would_fill_the_memory_is_refused_before_it_is_parsed(
    at: At, warehouse: Warehouse, body: bytes, said: str, at_first: bool
) -> None:
    """Also where the short way is answered otherwise, and boto3 asks."""
    asked: list[str] = []

    def respond(path: str) -> Answer:
        asked.append(path)
        return (200, body) if at_first or "X-Amz-Signature" not in path else (500, b"")

    with answering(respond) as endpoint:
        found = failure(at("2026-03-05T11:10"), StoreDrops("s3://shop/in", endpoint, attempts=1))
    assert said in found.cause
    assert asked
    assert warehouse.rows("SELECT * FROM ops.source_watermarks") == []


def test_a_file_that_grows_while_it_is_sent_is_not_taken_in(at: At, warehouse: Warehouse) -> None:
    """A gigabyte in a cell of a file that was listed with 300 bytes, and comes without saying how long it is."""
    sent = []

    class Handler(Quiet):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("ETag", '"abc"')
            self.send_header("Last-Modified", "Thu, 05 Mar 2026 11:01:00 GMT")
            if "list-type" in self.path:
                is_there = "inventory%2F2026%2F03%2F05" in self.path
                body = (LISTING if is_there else "<ListBucketResult/>").encode()
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            with suppress(OSError):
                for number in range(1 << 10):
                    self.wfile.write(b"100000\r\n" + b"a" * (1 << 20) + b"\r\n")
                    sent.append(number)
            self.close_connection = True

    with serving(Handler) as endpoint:
        ingest(at("2026-03-05T11:10"), StoreDrops("s3://shop/in", endpoint, attempts=1))
    assert warehouse.rows("SELECT rule_id FROM raw.rejects") == [("file_too_large",)]
    assert len(sent) < 200  # of which it may have as many as a file, and what lies in buffers


@pytest.mark.parametrize("way", ["in chunks", "until the end", "in chunks, one of them missing", "cut off"])
def test_a_file_that_comes_without_its_length_is_taken_in_whole(at: At, warehouse: Warehouse, way: str) -> None:
    """As a gateway sends it; what breaks off is asked for again, also where only the listing tells."""
    content = (HEADER + "7,A,5,0,2026-03-05T10:15:00Z\n" + "7,B,6,0,2026-03-05T10:15:00Z\n").encode()
    etag = hashlib.md5(content).hexdigest()
    asked: list[str] = []

    class Handler(Quiet):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Connection", "close")
            self.send_header("ETag", f'"{etag}"')
            self.send_header("Last-Modified", "Thu, 05 Mar 2026 11:01:00 GMT")
            if "list-type" in self.path:
                listing = LISTING.replace('"x"', f'"{etag}"').replace("<Size>70<", f"<Size>{len(content)}<")
                body = (listing if "inventory%2F2026%2F03%2F05" in self.path else "<ListBucketResult/>").encode()
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            asked.append(self.path)
            is_whole = way in ("in chunks", "until the end") or len(asked) > 2  # the first one is not boto3's
            sent = content if is_whole else content[: -len(content) // 4]
            if "chunks" in way:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(sent), sent) + (b"0\r\n\r\n" if is_whole else b""))
            else:
                self.end_headers()
                self.wfile.write(sent)

    with serving(Handler) as endpoint:
        ingest(at("2026-03-05T11:10"), StoreDrops("s3://shop/in", endpoint, attempts=2))
    assert [(sku, on_hand) for _, sku, on_hand, _ in counts(warehouse)] == [("A", 5), ("B", 6)]
    assert warehouse.value("SELECT etag FROM ops.files") == etag


@pytest.mark.parametrize("status", [500, 503])
def test_a_listing_that_a_gateway_keeps_back_for_a_moment_is_asked_for_again(
    at: At, warehouse: Warehouse, status: int
) -> None:
    """Its page says DOCTYPE, as that of a listing must not."""
    page = b"<!DOCTYPE html><html><head><title>Service Unavailable</title></head></html>"
    asked: list[str] = []

    def respond(path: str) -> Answer:
        asked.append(path)
        return (
            (status, page) if len(asked) <= 2 else (200, b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>")
        )

    with answering(respond) as endpoint, capture_logs() as logged:
        ingest(at("2026-03-05T11:10"), StoreDrops("s3://shop/in", endpoint, attempts=3))
    assert asked[0] == asked[1] == asked[2]
    assert [(line["whom"], line["attempt"]) for line in logged if line["event"] == AGAIN] == [("S3", 1), ("S3", 2)]
    assert covered(warehouse) is not None


def test_the_log_says_why_it_was_asked_again_not_how_it_went_then(at: At) -> None:
    answers: list[Answer] = [
        (0, b""),
        (503, b""),
        (200, b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>"),
    ]
    with answering(lambda path: answers.pop(0) if answers[1:] else answers[0]) as endpoint, capture_logs() as logged:
        ingest(at("2026-03-05T11:10"), StoreDrops("s3://shop/in", endpoint, attempts=3))
    told = [(line["attempt"], line["why"]) for line in logged if line["event"] == AGAIN]
    assert told == [(1, "ConnectionClosedError"), (2, "no good answer")]


def test_a_refusal_with_a_page_of_a_gateway_is_named(at: At) -> None:
    with answering(lambda path: (403, b"<!DOCTYPE html><html>Forbidden</html>")) as endpoint:
        error = failure(at("2026-03-05T12:30"), StoreDrops("s3://shop/in", endpoint, attempts=1))
    assert error.cause == "access to bucket 'shop' was denied (403)"


@contextmanager
def answering(respond: Callable[[str], Answer]) -> Iterator[str]:
    """The URL of an HTTP server whose answer follows from the path and query of a GET.

    The number is the status, or beyond 599 a length that the answer claims to have; 0: there is no answer.
    """

    class Handler(Quiet):
        def do_GET(self) -> None:
            status, body = respond(self.path)
            if status == 0:  # it hangs up
                return
            self.send_response(status if status < 600 else 200)
            self.send_header("Content-Length", str(len(body) if status < 600 else status))
            self.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')
            self.send_header("Last-Modified", "Thu, 05 Mar 2026 11:01:00 GMT")
            self.send_header("Expires", "0")  # a number instead of an instant, which boto3 is to get over
            self.end_headers()
            self.wfile.write(body[:-5] if b"CUT" in body else body)
            self.close_connection = b"CUT" in body

    with serving(Handler) as endpoint:
        yield endpoint


def failure(context: IngestContext, source: StoreDrops) -> SourceError:
    with pytest.raises(SourceError) as caught:
        ingest(context, source)
    assert "verysecret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_missing_bucket_is_named(at: At, drops: Drops, warehouse: Warehouse) -> None:
    source = StoreDrops("s3://no-such-bucket/in", drops.source.endpoint_url, attempts=1)
    error = failure(at("2026-03-05T12:30"), source)
    assert (error.source, error.cause) == ("stores", "there is no bucket 'no-such-bucket'")
    assert "STORES_URL" in error.cure
    assert covered(warehouse) is None


def test_a_refused_endpoint_is_named(at: At) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failure(at("2026-03-05T12:30"), StoreDrops("s3://shop/in", f"http://127.0.0.1:{port}", attempts=1))
    assert f"127.0.0.1:{port}" in error.cause
    assert "AWS_ENDPOINT_URL" in error.cure


def test_missing_credentials_are_named(at: At, drops: Drops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "AWS_ACCESS_KEY_ID" in failure(at("2026-03-05T12:30"), drops.source).cure


def test_denied_access_is_named(at: At) -> None:
    refusal = 403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    with answering(lambda path: refusal) as endpoint:
        error = failure(at("2026-03-05T12:30"), StoreDrops("s3://shop/in", endpoint, attempts=1))
    assert error.cause == "access to bucket 'shop' was denied (AccessDenied)"
    assert "s3:ListBucket" in error.cure


@pytest.mark.parametrize("url", ["", "drops", "https://bucket/in", "s3:///in"])
def test_a_location_that_is_none_is_named(at: At, url: str) -> None:
    assert "STORES_URL" in failure(at("2026-03-05T12:30"), StoreDrops(url)).cure


LISTING = """<ListBucketResult><Contents><Key>in/inventory/2026/03/05/10/store_007.csv</Key>
<LastModified>2026-03-05T11:01:00.000Z</LastModified><ETag>"x"</ETag><Size>70</Size></Contents></ListBucketResult>"""


@pytest.mark.parametrize("trouble", [(503, b"slow down"), (403, b"no"), (200, b"CUT short in the middle")])
def test_an_object_that_does_not_come_at_once_is_asked_for_again(at: At, warehouse: Warehouse, trouble: Answer) -> None:
    content = (HEADER + "7,A,5,0,2026-03-05T10:15:00Z\n").encode()
    asked = []

    def respond(path: str) -> Answer:
        if "list-type" in path:
            return 200, (LISTING if "inventory%2F2026%2F03%2F05" in path else "<ListBucketResult/>").encode()
        asked.append(path)
        return trouble if len(asked) == 1 else (200, content)

    with answering(respond) as endpoint:
        ingest(at("2026-03-05T11:10"), StoreDrops("s3://shop/in", endpoint, attempts=2))
    assert len(asked) == 2
    assert counts(warehouse) == [(7, "A", 5, datetime(2026, 3, 5, 10, 15))]
    assert warehouse.value("SELECT etag FROM ops.files") == hashlib.md5(content).hexdigest()


def test_an_object_that_is_gone_when_it_is_read_is_left_out(at: At, warehouse: Warehouse) -> None:
    def respond(path: str) -> Answer:
        if "list-type" in path:
            return 200, (LISTING if "inventory%2F2026%2F03%2F05" in path else "<ListBucketResult/>").encode()
        return 404, b"<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>"

    with answering(respond) as endpoint:
        results = ingest(at("2026-03-05T11:10"), StoreDrops("s3://shop/in", endpoint, attempts=1))
    assert [result.rows for result in results] == [0, 0, 0]
    assert statuses(warehouse) == []


@pytest.mark.parametrize(
    ("listing", "said"),
    [
        ("", "the listing of in/reference/"),
        ("<html><body>Please log in</body></html>", "the listing of in/reference/"),
        ("<ListBucketResult><KeyCount>3</KeyCount></ListBucketResult>", "counts 3 keys and names 0"),
        ("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>", "does not say where it goes on"),
        (
            "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>"
            "</ListBucketResult>",
            "does not say where it goes on",
        ),
        ("<ListBucketResult><Contents><Key>in/refer", "S3 answered 500"),
    ],
    ids=["empty", "another page", "fewer than counted", "cut off", "in a circle", "broken off"],
)
def test_a_listing_that_cannot_be_whole_is_not_believed(at: At, warehouse: Warehouse, listing: str, said: str) -> None:
    with answering(lambda path: (200, listing.encode())) as endpoint:
        error = failure(at("2026-03-05T11:10"), StoreDrops("s3://shop/in", endpoint, attempts=1))
    assert said in error.cause
    assert covered(warehouse) is None
