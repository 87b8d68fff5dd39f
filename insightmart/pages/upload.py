"""The pages where readers open them: STATUS_URL, a bucket that something serves (CloudFront, a website bucket)."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from insightmart.errors import InsightMartError
from insightmart.runs import ProblemKind, RunProblem
from insightmart.s3_place import S3Place
from insightmart.settings import Settings
from insightmart.watchdog import within

SETTING = "STATUS_URL"
RIGHTS = "s3:ListBucket and s3:PutObject"
AT_ONCE, SECONDS = 8, 60  # pages at a time, and how long all of them may take
_TYPES = {".html": "text/html; charset=utf-8", ".json": "application/json"}


def status_place(settings: Settings, attempts: int = 2) -> S3Place | None:
    """Where the pages are put; None where the settings name no place.

    Raises:
        ConfigurationError: STATUS_URL is no S3 location.
    """
    if not settings.status_url:
        return None
    return S3Place(SETTING, settings.status_url, RIGHTS, settings.aws_endpoint_url, attempts)


def upload(settings: Settings, folder: Path) -> int:
    """Put the pages of a folder to STATUS_URL: those that are other ones there, the start page last.

    Nothing is deleted there: pages of old runs are left to a lifecycle rule.

    Returns:
        How many were put; 0 without STATUS_URL.

    Raises:
        ConfigurationError: STATUS_URL is no S3 location.
        InsightMartError: the bucket does not answer, or refuses one.
    """
    place = status_place(settings)
    if place is None:
        return 0
    with place.explained("listed"):
        listed = place.client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.prefix)
        there = {entry["Key"]: entry["ETag"].strip('"') for page in listed for entry in page.get("Contents", ())}
    changed = []
    for path in folder.rglob("*"):
        if path.suffix not in _TYPES or path.name.startswith("."):
            continue
        name, body = path.relative_to(folder).as_posix(), path.read_bytes()
        if there.get(place.prefix + name) != hashlib.md5(body, usedforsecurity=False).hexdigest():
            changed.append((name, body))

    def put(file: tuple[str, bytes]) -> None:
        name, body = file
        if time.monotonic() > until:
            raise InsightMartError(
                f"{place.url} took less than all pages in {SECONDS} seconds", "The next cycle goes on"
            )
        with place.explained(f"given {name}"):
            place.client.put_object(
                Bucket=place.bucket,
                Key=place.prefix + name,
                Body=body,
                ContentType=_TYPES[Path(name).suffix],
                CacheControl="no-cache",  # asked for again each time, and sent where it changed
            )

    until = time.monotonic() + SECONDS
    start = [file for file in changed if file[0] == "index.html"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(put, [file for file in changed if file not in start]))
    for file in start:
        put(file)
    return len(changed)


def upload_or_say(settings: Settings, folder: Path) -> list[RunProblem]:
    """The same, at the end of a cycle: what failed, for people."""
    try:
        within(2 * SECONDS, lambda: upload(settings, folder))
    except TimeoutError:
        cure = f"Check {SETTING} and the network; the next cycle goes on"
        return [RunProblem(ProblemKind.READERS, "the pages", f"{settings.status_url} answers too slowly", cure)]
    except InsightMartError as error:
        return [RunProblem.of_error(ProblemKind.READERS, "the pages", error)]
    return []
