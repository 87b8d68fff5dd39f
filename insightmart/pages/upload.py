"""The pages where readers open them: STATUS_URL, a bucket that something serves (CloudFront, a website bucket)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from insightmart.errors import InsightMartError
from insightmart.runs import ProblemKind, RunProblem
from insightmart.s3_place import S3Place
from insightmart.settings import Settings

SETTING = "STATUS_URL"
RIGHTS = "s3:ListBucket and s3:PutObject"
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
    put = 0
    files = [path for path in folder.rglob("*") if path.suffix in _TYPES and not path.name.startswith(".")]
    for path in sorted(files, key=lambda path: (path.name == "index.html", path)):
        name, body = path.relative_to(folder).as_posix(), path.read_bytes()
        if there.get(place.prefix + name) == hashlib.md5(body, usedforsecurity=False).hexdigest():
            continue
        with place.explained(f"given {name}"):
            place.client.put_object(
                Bucket=place.bucket,
                Key=place.prefix + name,
                Body=body,
                ContentType=_TYPES[path.suffix],
                CacheControl="no-cache",  # asked for again each time, and sent where it changed
            )
        put += 1
    return put


def upload_or_say(settings: Settings, folder: Path) -> list[RunProblem]:
    """The same, at the end of a cycle: what failed, for people."""
    try:
        upload(settings, folder)
    except InsightMartError as error:
        return [RunProblem.of_error(ProblemKind.READERS, "the pages", error)]
    return []
