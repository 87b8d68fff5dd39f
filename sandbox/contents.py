"""How much is in each source of the sandbox."""

from __future__ import annotations

import boto3
import psycopg
from botocore.config import Config
from psycopg import sql

from sandbox.shopify.shop import Shop
from sandbox.state import BUCKET, REGION, SandboxState

TABLES = ("customers", "products", "orders", "order_lines", "refunds")


def count(state: SandboxState) -> dict[str, int]:
    """Rows, files, documents and mails, by what they are. Raises what the sources raise when they do not answer."""
    documents = {f"Shopify {kind}": number for kind, number in Shop(state.shop_path).counts().items()}
    others = {"store files": _files(state), "mails": sum(1 for _ in state.inbox.glob("*.eml"))}
    return _rows(state) | documents | others


def _rows(state: SandboxState) -> dict[str, int]:
    counts = {}
    with psycopg.connect(state.admin_dsn) as connection:
        for table in TABLES:
            row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
            counts[f"PostgreSQL {table}"] = row[0] if row else 0
    return counts


def _files(state: SandboxState) -> int:
    s3 = boto3.client(
        "s3",
        endpoint_url=state.s3_url,
        region_name=REGION,
        aws_access_key_id=state.aws_access_key_id,
        aws_secret_access_key=state.aws_secret_access_key,
        config=Config(proxies={}),
    )
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return sum(page["KeyCount"] for page in pages)
