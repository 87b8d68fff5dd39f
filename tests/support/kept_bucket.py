"""A bucket for what outlives the home, on a real S3 endpoint: versioned, as deploy/aws makes it."""

from __future__ import annotations

import uuid

import boto3

from insightmart.settings import Settings


class KeptBucket:
    """An empty bucket that the settings point at."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.name = f"kept-{uuid.uuid4().hex[:12]}"
        self.client = boto3.client("s3", endpoint_url=endpoint)
        self.client.create_bucket(Bucket=self.name)
        self.client.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})
        self.environment = {"KEPT_URL": f"s3://{self.name}/home", "AWS_ENDPOINT_URL": endpoint}

    def serve(self, settings: Settings) -> None:
        """Point settings that are read already at it."""
        settings.kept_url, settings.aws_endpoint_url = self.environment["KEPT_URL"], self.endpoint

    def put(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=f"home/{name}", Body=content)

    def files(self) -> dict[str, bytes]:
        """What it holds now: content by name."""
        listed = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {
            entry["Key"].removeprefix("home/"): self.client.get_object(Bucket=self.name, Key=entry["Key"])[
                "Body"
            ].read()
            for entry in listed
        }

    def versions(self) -> set[str]:
        """Names of which it holds anything, deleted ones too."""
        found = self.client.list_object_versions(Bucket=self.name)
        every = [*found.get("Versions", []), *found.get("DeleteMarkers", [])]
        return {version["Key"].removeprefix("home/") for version in every}
