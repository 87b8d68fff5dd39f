"""The sandbox's services through their public door: `python -m sandbox`, and the protocols they speak."""

from __future__ import annotations

import smtplib
from email import message_from_bytes
from email.message import EmailMessage
from urllib.parse import urlsplit

import boto3
import httpx
import psycopg
import pytest

from tests.support.sandbox_home import COLUMNS, Home, refuse

pytestmark = pytest.mark.slow


def test_an_empty_sandbox_takes_ones_own_rows_and_no_other_change(settings: dict[str, str]) -> None:
    with psycopg.connect(settings["OLTP_DSN"], autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)
        connection.execute("INSERT INTO orders (order_id) VALUES (1)")
        connection.execute("DELETE FROM orders")
        refuse(connection, "CREATE TABLE mine (x int)", "CREATE TEMPORARY TABLE mine (x int)", "DROP TABLE orders")


def test_postgres_asks_for_a_password(settings: dict[str, str]) -> None:
    url = urlsplit(settings["OLTP_DSN"])
    for user in ("insightmart_reader", "postgres"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host="127.0.0.1", port=url.port, dbname="shop", user=user, password="guess")


def test_the_tables_have_the_promised_columns_and_promise_nothing_else(settings: dict[str, str]) -> None:
    query = """
        SELECT relname, string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND attnum > 0
        GROUP BY relname
    """
    constraints = """
        SELECT (SELECT count(*) FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
               (SELECT count(*) FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
                WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND attnotnull)
    """
    with psycopg.connect(settings["OLTP_DSN"]) as connection:
        assert dict(connection.execute(query).fetchall()) == COLUMNS
        assert connection.execute(constraints).fetchone() == (0, 0)


def test_s3_gives_back_what_was_put_and_keeps_what_was_overwritten(settings: dict[str, str]) -> None:
    bucket = urlsplit(settings["STORES_URL"]).netloc
    client = boto3.client(
        "s3",
        endpoint_url=settings["AWS_ENDPOINT_URL"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
        region_name=settings["AWS_DEFAULT_REGION"],
    )
    key = "drops/inventory/2026/03/05/00/store_001.csv"
    client.put_object(Bucket=bucket, Key=key, Body=b"first")
    client.put_object(Bucket=bucket, Key=key, Body="späte Korrektur".encode("latin-1"))

    assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == b"sp\xe4te Korrektur"
    assert [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    assert len(client.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]) == 2


def test_a_mail_lands_as_an_eml_file(home: Home, settings: dict[str, str]) -> None:
    message = EmailMessage()
    message["From"] = "pipeline@insightmart.example"
    message["To"] = settings["REPORT_TO"]
    message["Subject"] = "Daily report \N{EN DASH} 2026-03-05: ../all/good?"
    message.set_content("Net sales: 12,345.67 €\n.\nA line of its own above.\n")
    with smtplib.SMTP("127.0.0.1", urlsplit(settings["SMTP_URL"]).port or 0, timeout=30) as client:
        client.send_message(message)
        client.sendmail("pipeline@insightmart.example", [settings["REPORT_TO"]], b"no headers at all")

    first, second = sorted((home.files / "inbox").iterdir())
    assert (first.name, second.name) == ("0001-daily-report-2026-03-05-all-good.eml", "0002-no-subject.eml")
    received = message_from_bytes(first.read_bytes())
    assert received["To"] == settings["REPORT_TO"]
    body = received.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().replace("\r\n", "\n") == message.get_content()


def test_the_shop_answers_only_those_who_have_its_token(settings: dict[str, str]) -> None:
    url = f"{settings['SHOPIFY_URL']}/admin/api/2026-10/graphql.json"
    query = {"query": "{ ordersCount(limit: null) { count } }"}
    answer = httpx.post(url, json=query, headers={"X-Shopify-Access-Token": settings["SHOPIFY_TOKEN"]}, trust_env=False)
    assert (answer.status_code, answer.json()["data"]) == (200, {"ordersCount": {"count": 0}})
    assert httpx.post(url, json=query, trust_env=False).status_code == 401
