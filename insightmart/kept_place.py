"""What must outlive the disk of the home, in a bucket: KEPT_URL, one prefix a warehouse (where-things-are-kept.md)."""

from __future__ import annotations

from insightmart.s3_place import S3Place, code_of
from insightmart.settings import AlertSettings

SETTING = "KEPT_URL"
RIGHTS = "s3:PutObject, s3:GetObject, s3:DeleteObject, s3:DeleteObjectVersion, s3:ListBucket and s3:ListBucketVersions"


class KeptPlace(S3Place):
    """Files by their name below the prefix. Every method raises InsightMartError where the bucket is silent or refuses.

    Args:
        url: ``s3://BUCKET/PREFIX``.
        endpoint_url: another S3 endpoint than AWS's own.
        attempts: how often a request is tried.
    """

    def __init__(self, url: str, endpoint_url: str | None = None, attempts: int = 2) -> None:
        super().__init__(SETTING, url, RIGHTS, endpoint_url, attempts)

    def address(self, name: str) -> str:
        """Where a file is, for people."""
        return f"s3://{self.bucket}/{self.prefix}{name}"

    def put(self, name: str, content: bytes) -> None:
        """Keep a file, in the place of one of the same name."""
        with self.explained("written to"):
            self.client.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=content)

    def read(self, name: str) -> bytes | None:
        """What is kept under a name, None where nothing is."""
        with self.explained("read") as answered:
            try:
                content: bytes = self.client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"].read()
            except answered as error:
                if code_of(error) == "NoSuchKey":
                    return None
                raise
        return content

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Every file of a folder (its name with a slash at the end) and of those below it: bytes by name."""
        with self.explained("listed"):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + folder
            )
            return {
                entry["Key"].removeprefix(self.prefix): int(entry["Size"])
                for page in pages
                for entry in page.get("Contents", ())
            }

    def forget(self, name: str) -> None:
        """Delete a file for good, with all the versions that the bucket has of it."""
        key = self.prefix + name
        with self.explained("deleted from"):
            pages = self.client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=key)
            found = [
                version["VersionId"]
                for page in pages
                for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
                if version["Key"] == key
            ]
            for version in found:
                self.client.delete_object(Bucket=self.bucket, Key=key, VersionId=version)


def kept_place(settings: AlertSettings, attempts: int = 2) -> KeptPlace | None:
    """The place that the settings name; None where they name none, and everything is kept in the home."""
    return KeptPlace(settings.kept_url, settings.aws_endpoint_url, attempts) if settings.kept_url else None
