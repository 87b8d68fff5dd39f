"""Pages put to a bucket, on a real S3 endpoint."""

from __future__ import annotations

import uuid
from pathlib import Path

import boto3
import pytest

from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.pages.upload import upload, upload_or_say
from insightmart.runs import ProblemKind
from insightmart.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "status"
    for name in ("index.html", "index.json", "stores/1.html"):
        (found / name).parent.mkdir(parents=True, exist_ok=True)
        (found / name).write_text(name)
    (found / ".index-unfinished.html").write_text("half")
    return found


def test_only_pages_that_are_other_ones_are_put_and_the_start_page_comes_last(
    settings: Settings,
    folder: Path,
    endpoint: str,
    aws: None,
) -> None:
    client = boto3.client("s3", endpoint_url=endpoint)
    bucket = f"pages-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)
    settings.status_url, settings.aws_endpoint_url = f"s3://{bucket}/prod", endpoint
    assert upload(settings, folder) == 3
    put = {entry["Key"]: entry["LastModified"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]}
    assert set(put) == {"prod/index.html", "prod/index.json", "prod/stores/1.html"}
    assert max(put, key=lambda key: (put[key], key == "prod/index.html")) == "prod/index.html"
    assert client.head_object(Bucket=bucket, Key="prod/index.html")["ContentType"] == "text/html; charset=utf-8"
    (folder / "stores/1.html").write_text("another")
    assert upload(settings, folder) == 1
    assert client.get_object(Bucket=bucket, Key="prod/stores/1.html")["Body"].read() == b"another"
    assert upload(settings, folder) == 0


def test_a_bucket_that_is_not_there_is_a_notice_and_an_address_that_is_none_too(
    settings: Settings,
    folder: Path,
    endpoint: str,
    aws: None,
) -> None:
    assert upload_or_say(settings, folder) == []  # nobody asked for it
    settings.status_url, settings.aws_endpoint_url = "s3://nowhere-at-all/prod", endpoint
    [problem] = upload_or_say(settings, folder)
    assert problem.kind is ProblemKind.READERS
    assert "s3://nowhere-at-all/prod cannot be listed (NoSuchBucket)" in problem.message
    assert "s3:PutObject" in problem.cure
    settings.status_url = "https://status.example.com"
    with pytest.raises(ConfigurationError, match="STATUS_URL is no S3 location"):
        upload(settings, folder)
    settings.status_url, settings.aws_endpoint_url = "s3://pages/prod", "http://127.0.0.1:9"
    with pytest.raises(InsightMartError, match="cannot be listed"):
        upload(settings, folder)
