"""A file of a store that nobody can read yet, because its encoding is not declared."""

from __future__ import annotations

from collections.abc import Mapping

import boto3

EBCDIC = "cp037"


class SpoiltFile:
    """A sound file of the first hour after the first day, put there again in EBCDIC."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.s3 = boto3.client(
            "s3",
            endpoint_url=settings["AWS_ENDPOINT_URL"],
            aws_access_key_id=settings.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=settings.get("AWS_SECRET_ACCESS_KEY"),
            region_name=settings.get("AWS_DEFAULT_REGION"),
        )
        bucket, _, prefix = settings["STORES_URL"].removeprefix("s3://").partition("/")
        for entry in self.s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/inventory/2026/03/06/00/")["Contents"]:
            self.place = {"Bucket": bucket, "Key": entry["Key"]}
            content = self.s3.get_object(**self.place)["Body"].read()
            if content.startswith(b"store_id,sku,on_hand") and entry["Key"].endswith(".csv"):
                self.content = content.decode("ascii").encode(EBCDIC)
                self.store_id = int(entry["Key"][-7:-4])
                self.is_there_again()
                return
        raise AssertionError("no file of that hour is plain text")

    @property
    def declaration(self) -> str:
        """What the store says of its files, as STORE_DECLARATIONS has it."""
        return f"{self.store_id}: {{encoding: {EBCDIC}}}\n"

    def is_there_again(self) -> None:
        """The store puts it where it was."""
        self.s3.put_object(**self.place, Body=self.content)

    def is_gone(self) -> None:
        """The store has taken it away."""
        self.s3.delete_object(**self.place)
