"""The bucket the stores drop their files in: which keys there are, what they stand for, and their bytes."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import unquote_plus, urlsplit
from xml.etree import ElementTree

import boto3
import botocore.session
import urllib3
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ResponseStreamingError,
)
from botocore.httpsession import URLLib3Session
from botocore.loaders import create_loader
from botocore.parsers import ResponseParserError
from botocore.utils import get_environ_proxies, parse_timestamp
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from ingestion.loading.context import SourceError
from ingestion.retries import tell_of_s3, told_of
from ingestion.stores.csv.declared import Declared
from ingestion.stores.csv.decode import MAX_BYTES
from ingestion.stores.csv.file import Drop
from ingestion.stores.s3_answers import OddAnswerError, bounded, whole_answer

SOURCE = "stores"
KINDS = ("reference", "tills", "inventory")  # the small ones first: the time zones come from the reference
READ_AHEAD_FILES = 64
READ_AHEAD_BYTES = 64 << 20
_THREADS = 16

# <kind>/YYYY/MM/DD/[HH/]store_NNN.csv or .csv.gz. A store that sends its file again under another key marks it as a
# copy: "store_001 (1).csv", "store_001_2.csv", "store_001_resent.csv". Some systems write names in capitals.
KEY_FORM = "inventory/YYYY/MM/DD/HH/store_NNN.csv, reference/YYYY/MM/DD/store_NNN.csv or tills/YYYY/MM/DD/store_NNN.csv"
_KEY = re.compile(
    r"(?P<kind>inventory|reference|tills)/(?P<year>\d{4})/(?P<month>\d\d)/(?P<day>\d\d)/(?:(?P<hour>[01]\d|2[0-3])/)?"
    r"(?i:store)_(?P<store>\d{3}|[1-9]\d{3,5})(?P<copy> ?\([1-9]\d?\)|_[1-9]\d?|_(?i:resent))?(?i:\.csv(?:\.gz)?)",
    re.ASCII,
)
_YEAR = re.compile(r"\d{4}/", re.ASCII)
_API_MODELS = create_loader()  # shared by all runs of a process: reading them takes 0.1 s
_REFUSED = {"AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}


@dataclass(frozen=True)
class StoreDrops:
    """Where the stores drop their files; boto3 takes credentials and region from the environment.

    Attributes:
        url: ``s3://bucket/prefix``.
        endpoint_url: another S3 endpoint than AWS's own; None takes ``AWS_ENDPOINT_URL`` if that is set.
        grace_minutes: how long after an hour its missing files are waited for.
        attempts: how often a request is tried.
        silence_limit: seconds without an answer to a request, over all its attempts.
        declared: what holds for all files of a store, by its id.
    """

    url: str
    endpoint_url: str | None = None
    grace_minutes: int = 30
    attempts: int = 3
    silence_limit: float = 60.0
    declared: Mapping[int, Declared] = field(default_factory=dict)

    @property
    def bucket(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def prefix(self) -> str:
        """What the keys of all files begin with: empty, or ending in a slash."""
        path = urlsplit(self.url).path.strip("/")
        return f"{path}/" if path else ""

    @property
    def grace(self) -> timedelta:
        return timedelta(minutes=self.grace_minutes)


@dataclass(frozen=True)
class Object:
    """One object of the bucket; ``kind`` is the folder it lies in, empty for one outside of all folders of store files;
    ``drop`` is None when its key is no store file's."""

    key: str
    etag: str
    size: int
    modified_at: datetime
    kind: str
    drop: Drop | None
    is_copy: bool = False

    @property
    def order(self) -> tuple[Any, ...]:
        """Files of one hour or day together; of one store's the plain key before its copies."""
        if self.drop is None:
            return (len(KINDS), date.max, datetime.max, 0, False, self.key)
        hour = self.drop.file_hour or datetime.min
        return (KINDS.index(self.kind), self.drop.file_date, hour, self.drop.store_id, self.is_copy, self.key)


class _Entry(NamedTuple):
    """An object as a listing names it; ``modified_at`` is UTC without a zone."""

    key: str
    etag: str
    size: int
    modified_at: datetime


class Bucket:
    """The store drops as opened for one run.

    Raises SourceError from every method when the bucket cannot be reached or read.
    """

    def __init__(self, source: StoreDrops) -> None:
        self.source = source
        if not source.bucket or urlsplit(source.url).scheme != "s3":
            raise SourceError(SOURCE, f"{source.url!r} is no S3 location", "Set STORES_URL to s3://BUCKET/PREFIX")
        self.listed = 0  # objects that listings named so far, those seen before included
        self.known = 0  # of these, those seen before
        with self._explained():
            self._client, self._http = _clients(source)

    def is_empty(self) -> bool:
        """Whether nothing at all lies below the prefix; one plain answer about the bucket."""
        with self._explained():
            answer = self._client.list_objects_v2(Bucket=self.source.bucket, Prefix=self.source.prefix, MaxKeys=1)
        return not answer.get("KeyCount")

    def server_time(self) -> datetime:
        """S3's clock, UTC without a zone, whatever else it answers.

        Raises:
            SourceError: it does not answer, or does not say.
        """
        with self._explained():
            try:
                answer = self._client.head_bucket(Bucket=self.source.bucket)
            except ClientError as error:
                answer = error.response
            return _utc(_instant(answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")))

    def objects(
        self, kinds: Sequence[str], days: Sequence[date], as_of: datetime, seen: Mapping[str, str] | None = None
    ) -> list[Object]:
        """The objects of these kinds and days that can be there at ``as_of``, in the order they are to be loaded.

        A file of an hour that has not ended, or of a later day, is left for later runs. When an object was written says
        nothing here: the time of a run may be simulated.

        Args:
            kinds: the folders.
            days: the days in the keys.
            as_of: "now", UTC without a zone.
            seen: etags by key of objects to leave out as long as they have that etag.
        """
        known = seen or {}
        prefixes = [(kind, f"{self.source.prefix}{kind}/{day:%Y/%m/%d}/") for kind in kinds for day in days]
        with self._explained(), ThreadPoolExecutor(_THREADS) as threads:
            pages = list(threads.map(lambda item: (item[0], self._list(item[1])), prefixes))
        self.listed += sum(len(entries) for _, entries in pages)
        new = [(kind, entry) for kind, entries in pages for entry in entries if known.get(entry.key) != entry.etag]
        self.known += sum(len(entries) for _, entries in pages) - len(new)
        found = [self._recognised(kind, entry) for kind, entry in new]
        return sorted((item for item in found if _is_due(item, as_of)), key=lambda item: item.order)

    def strays(self, seen: Mapping[str, str]) -> list[Object]:
        """Objects outside of the folders that store files belong in, the first page of each place they lie in.

        Looked for where a mistake puts them: beside the folders of the kinds, and beside the years in each.

        Args:
            seen: etags by key of objects to leave out as long as they have that etag.
        """
        folders = {f"{self.source.prefix}{kind}/" for kind in KINDS}
        found: list[_Entry] = []
        with self._explained():
            for place in [self.source.prefix, *sorted(folders)]:
                entries, below = self._level(place)
                found += entries
                for folder in below:
                    if folder not in folders and not _YEAR.fullmatch(folder.removeprefix(place)):
                        found += self._page(folder, None)[0]
        new = [entry for entry in found if seen.get(entry.key) != entry.etag and not entry.key.endswith("/")]
        return [Object(entry.key, entry.etag, entry.size, entry.modified_at, "", None) for entry in new]

    def _level(self, prefix: str) -> tuple[list[_Entry], list[str]]:
        """The objects directly below a prefix, and the folders there; of very many the first page."""
        answer = self._client.list_objects_v2(Bucket=self.source.bucket, Prefix=prefix, Delimiter="/")
        entries = [
            _Entry(entry["Key"], entry["ETag"].strip('"'), entry["Size"], _utc(entry["LastModified"]))
            for entry in answer.get("Contents", ())
        ]
        return entries, [folder["Prefix"] for folder in answer.get("CommonPrefixes", ())]

    def contents(self, objects: Iterable[Object]) -> Iterator[tuple[Object, bytes | None]]:
        """Objects with their bytes, in order, read ahead by several threads.

        The object comes back as it is now: it may have been rewritten since it was listed. The bytes are None where
        the object is too large to be read at all. One that was deleted in the meantime is left out.
        """
        pending: deque[tuple[Object, Future[tuple[Object, bytes | None] | None]]] = deque()
        ahead = 0
        todo = deque(objects)
        with self._explained(), ThreadPoolExecutor(_THREADS) as threads:
            try:
                while todo or pending:
                    while todo and len(pending) < READ_AHEAD_FILES and (not pending or ahead < READ_AHEAD_BYTES):
                        pending.append((todo[0], threads.submit(self._read, todo[0])))
                        ahead += todo.popleft().size
                    listed, future = pending.popleft()
                    ahead -= listed.size
                    read = future.result()
                    if read is not None:
                        yield read
            finally:
                for _, future in pending:
                    future.cancel()

    def _list(self, prefix: str) -> list[_Entry]:
        """The objects below a prefix."""
        entries: list[_Entry] = []
        token = None
        while True:
            page, token = self._page(prefix, token)
            entries += (entry for entry in page if not entry.key.endswith("/"))
            if token is None:
                return entries

    def _page(self, prefix: str, token: str | None) -> tuple[list[_Entry], str | None]:
        """One page of a listing, and the token of the next one.

        A week of files is 25,000 keys, listed each hour, and boto3 takes 70 us of CPU to read a key: so here, too, a
        plain GET goes first, and whatever it does not answer is left to boto3 with its retries and reasons.
        """
        params = {"Bucket": self.source.bucket, "Prefix": prefix, "EncodingType": "url"}
        if token:
            params["ContinuationToken"] = token
        signed = self._client.generate_presigned_url("list_objects_v2", params)
        with suppress(BotoCoreError, urllib3.exceptions.HTTPError, ElementTree.ParseError, KeyError, ValueError):
            answer = self._http.send(AWSRequest("GET", signed, stream_output=True).prepare())
            body = whole_answer(answer)
            if answer.status_code == 200:
                return _read_page(body, token)
        listed = self._client.list_objects_v2(**params)
        if not listed.keys() & {"Name", "KeyCount", "IsTruncated", "Contents"}:
            raise OddAnswerError(f"the listing of {prefix} is none")
        _refuse_odd(prefix, listed, len(listed.get("Contents", ())), token)
        # boto3 decodes keys only where it asked for the encoding itself
        name = unquote_plus if listed.get("EncodingType") == "url" else str
        entries = [
            _Entry(name(entry["Key"]), entry["ETag"].strip('"'), entry["Size"], _utc(entry["LastModified"]))
            for entry in listed.get("Contents", ())
        ]
        return entries, listed.get("NextContinuationToken")

    def _recognised(self, kind: str, entry: _Entry) -> Object:
        key, modified_at = entry.key, entry.modified_at
        drop, is_copy = _drop(key, key.removeprefix(self.source.prefix), modified_at)
        return Object(key, entry.etag, entry.size, modified_at, kind, drop, is_copy)

    def _read(self, listed: Object) -> tuple[Object, bytes | None] | None:
        limit = MAX_BYTES[listed.kind]
        if listed.size > limit:
            return listed, None
        try:
            etag, written_at, content = self._get(listed, limit)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise
        entry = _Entry(listed.key, etag.strip('"'), listed.size if content is None else len(content), _utc(written_at))
        return self._recognised(listed.kind, entry), content

    def _get(self, listed: Object, limit: int) -> tuple[str, datetime, bytes | None]:
        """ETag, time and bytes of one object; no bytes where there are more than the limit by now.

        Most files are tiny, and get_object takes 3 ms of CPU for each: so a plain GET with a signed address goes first,
        which takes half of that. Whatever it does not answer is left to get_object, with its retries and reasons.
        """
        signed = self._client.generate_presigned_url("get_object", {"Bucket": self.source.bucket, "Key": listed.key})
        with suppress(BotoCoreError, urllib3.exceptions.HTTPError, KeyError, ValueError):
            answer = self._http.send(AWSRequest("GET", signed, stream_output=True).prepare())
            headers = answer.headers
            if answer.status_code == 200 and int(headers.get("Content-Length", limit + 1)) <= limit:
                content = answer.content
                if headers["Content-Length"] == str(len(content)):
                    return headers["ETag"], _instant(headers["Last-Modified"]), content
            answer.raw.close()
        return self._get_object(listed, limit)

    def _get_object(self, listed: Object, limit: int) -> tuple[str, datetime, bytes | None]:
        """The same through boto3; a connection that breaks while the bytes come in is tried again."""

        @retry(
            retry=retry_if_exception_type((HTTPClientError, IncompleteReadError, ResponseStreamingError)),
            stop=stop_after_attempt(self.source.attempts),
            wait=wait_exponential(multiplier=0.2, max=2),
            before_sleep=told_of("S3"),
            reraise=True,
        )
        def get() -> tuple[str, datetime, bytes | None]:
            answer = self._client.get_object(Bucket=self.source.bucket, Key=listed.key)
            etag, body, length = answer["ETag"], answer["Body"], answer.get("ContentLength")
            content: bytes | None = None
            if length is None:  # of a gateway; where it just hangs up at the end, only the listing tells what is whole
                content = body.read(limit + 1)
                if len(content) < listed.size and etag.strip('"') == listed.etag:
                    raise IncompleteReadError(actual_bytes=len(content), expected_bytes=listed.size)
            elif length <= limit:
                content = body.read()
            if content is None or len(content) > limit:
                body.close()
                content = None
            return etag, answer["LastModified"], content

        return get()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Failures of S3 as a SourceError with cause and cure."""
        try:
            yield
        except ClientError as error:
            raise _refusal(self.source, error) from error
        except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, ProfileNotFound) as error:
            cure = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile or role that may read the bucket"
            raise SourceError(SOURCE, str(error), cure) from error
        except (HTTPClientError, ConnectionError, IncompleteReadError, ResponseStreamingError) as error:
            where = self.source.endpoint_url or "S3"
            cause = f"{where} does not answer: {error}" if where not in str(error) else str(error)
            cure = "Check AWS_ENDPOINT_URL and the network; the next run reads what is new since the last one"
            raise SourceError(SOURCE, cause, cure) from error
        except (OddAnswerError, ResponseParserError) as error:
            cause = " ".join(f"S3's answer cannot be right: {error}".split())[:500]
            raise SourceError(SOURCE, cause, "Run it again; ask whoever runs the bucket if it stays") from error
        except (BotoCoreError, ValueError) as error:
            raise SourceError(SOURCE, str(error), "Check STORES_URL, AWS_ENDPOINT_URL and AWS_REGION") from error


def _refuse_odd(prefix: str, listed: Mapping[str, Any], named: int, token: str | None) -> None:
    """Hold what a listing says of itself against what it names.

    Raises:
        OddAnswerError: it counts other keys than it names, or goes on without saying where, or where it has been.
    """
    counted, following = listed.get("KeyCount"), listed.get("NextContinuationToken")
    if counted is not None and int(counted) != named:
        raise OddAnswerError(f"the listing of {prefix} counts {counted} keys and names {named}")
    if str(listed.get("IsTruncated")).lower() == "true" and following in (None, "", token):
        raise OddAnswerError(f"the listing of {prefix} is cut off and does not say where it goes on")


def _read_page(answer: bytes, token: str | None) -> tuple[list[_Entry], str | None]:
    """The objects of an answer to ListObjectsV2, and the token of the next page."""
    entries, values = [], {}
    root = ElementTree.fromstring(answer)
    if root.tag.rpartition("}")[2] != "ListBucketResult":
        raise OddAnswerError(f"{root.tag} is no listing")
    for element in root:
        name = element.tag.rpartition("}")[2]
        if name == "Contents":
            entries.append({child.tag.rpartition("}")[2]: child.text or "" for child in element})
        else:
            values[name] = element.text
    _refuse_odd(values.get("Prefix") or "", values, len(entries), token)
    key = unquote_plus if values.get("EncodingType") == "url" else str
    found = [
        _Entry(key(entry["Key"]), entry["ETag"].strip('"'), int(entry["Size"]), _utc(_instant(entry["LastModified"])))
        for entry in entries
    ]
    return found, values.get("NextContinuationToken")


def _clients(source: StoreDrops) -> tuple[Any, URLLib3Session]:
    """boto3's client, and a plain HTTP session to the same place."""
    session = botocore.session.get_session()
    session.register_component("data_loader", _API_MODELS)
    # botocore takes 0.2 ms to read an instant; a listing of a week of files has 25,000
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_instant)
    connect_timeout, read_timeout = 5, source.silence_limit / source.attempts
    config = Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        max_pool_connections=_THREADS,
        retries={"mode": "standard", "total_max_attempts": source.attempts},
        signature_version="s3v4",
    )
    client = boto3.Session(botocore_session=session).client("s3", endpoint_url=source.endpoint_url, config=config)
    http = URLLib3Session(
        verify=session.get_config_variable("ca_bundle") or True,
        proxies=get_environ_proxies(client.meta.endpoint_url),
        timeout=(connect_timeout, read_timeout),
        max_pool_connections=_THREADS,
    )
    client.meta.events.register("before-send.s3", bounded(http))
    client.meta.events.register("needs-retry.s3", tell_of_s3)
    return client, http


def _refusal(source: StoreDrops, error: ClientError) -> SourceError:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    if code == "NoSuchBucket":
        return SourceError(SOURCE, f"there is no bucket {source.bucket!r}", "Check STORES_URL and AWS_ENDPOINT_URL")
    if code in _REFUSED:
        cure = "Check the AWS credentials; they need s3:ListBucket on the bucket and s3:GetObject on its objects"
        return SourceError(SOURCE, f"access to bucket {source.bucket!r} was denied ({code})", cure)
    return SourceError(
        SOURCE, f"S3 answered {code}: {message}", "Run it again; ask whoever runs the bucket if it stays"
    )


def _drop(key: str, name: str, modified_at: datetime) -> tuple[Drop | None, bool]:
    """What a key (``name``: below the prefix) stands for, None for an unknown form; and whether it is a marked copy."""
    match = _KEY.fullmatch(name)
    if match is None or (match["hour"] is None) == (match["kind"] == "inventory") or not int(match["store"]):
        return None, False
    try:
        day = date(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:
        return None, False
    hour = None if match["hour"] is None else datetime(day.year, day.month, day.day, int(match["hour"]))
    return Drop(match["kind"], key, int(match["store"]), day, hour, modified_at), match["copy"] is not None


def _is_due(item: Object, as_of: datetime) -> bool:
    """Whether the hour (inventory) has ended or the date has begun by then."""
    if item.drop is None:
        return True
    if item.drop.file_hour is not None:
        return item.drop.file_hour + timedelta(hours=1) <= as_of
    return item.drop.file_date <= as_of.date()


def _instant(text: str) -> datetime:
    """An instant as S3 writes it: ISO 8601 in listings, the HTTP form in headers."""
    try:
        return datetime.fromisoformat(text) if text[:1].isdigit() else parsedate_to_datetime(text)
    except ValueError:  # of a header that nobody here asks for, such as `Expires: 0`
        other: datetime = parse_timestamp(text)
        return other


def _utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None)
