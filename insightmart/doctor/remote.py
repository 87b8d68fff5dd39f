"""Checks of sources and services: they answer, with the rights that are needed and no others."""

from __future__ import annotations

import smtplib
from datetime import timedelta
from urllib.parse import urlsplit

from ingestion.clock import utc_now
from ingestion.contracts import ENTITIES, Entity
from insightmart.doctor.findings import Check, Flaw
from insightmart.errors import ConfigurationError
from insightmart.plain_connections import DSN_FORM, verified_dsn
from insightmart.settings import Settings

TIMEOUT = 5  # seconds a service has for an answer
CLOCK_SKEW = 60  # seconds
COPY_AGE = timedelta(days=2)  # from when on the last copy of the warehouse is brought to mind
SCOPE_ALL_ORDERS = "read_all_orders"


def _oltp(settings: Settings) -> str:
    import psycopg

    dsn = _oltp_dsn(settings)
    try:
        with psycopg.connect(dsn, connect_timeout=TIMEOUT, options=f"-c statement_timeout={TIMEOUT}s") as connection:
            role, server = connection.execute("SELECT current_user::text, current_setting('server_version')").fetchone()  # type: ignore[misc]
            _compare_contract(connection)
            _see_every_row(connection, role)
            writable = [name for name in _oltp_tables() if _may_write(connection, name)]
    except psycopg.Error as error:
        raise Flaw(_first_line(error), "Check host, port, database, user and password of OLTP_DSN") from None
    if writable:
        raise Flaw(
            f"role {role} may write {', '.join(writable)}",
            "Use a role with SELECT only: nothing here ever writes to the source",
            "note",
        )
    return f"PostgreSQL {server}, role {role} reads {len(_oltp_tables())} tables and cannot write"


def _oltp_dsn(settings: Settings) -> str:
    if settings.oltp_dsn is None:
        raise ConfigurationError("OLTP_DSN is not set", f"Set it to {DSN_FORM}")
    return verified_dsn(settings.oltp_dsn.get_secret_value(), settings.allowed_plain)


def _oltp_tables() -> dict[str, Entity]:
    return {item.name: item for item in ENTITIES if item.source == "oltp"}


def _compare_contract(connection: object) -> None:
    """Every table with every column of the contract, and the right to read it."""
    rows = connection.execute(  # type: ignore[attr-defined]
        "SELECT c.relname, a.attname, has_table_privilege(c.oid, 'SELECT') FROM pg_class AS c"
        " JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid"
        " WHERE n.nspname = 'public' AND a.attnum > 0 AND NOT a.attisdropped AND c.relname = ANY(%s)",
        [list(_oltp_tables())],
    ).fetchall()
    wrong = []
    for name, item in _oltp_tables().items():
        columns = {column for table, column, _ in rows if table == name}
        missing = [column.name for column in item.columns if column.name not in columns]
        if not columns:
            wrong.append(f"public.{name} is missing")
        elif missing:
            wrong.append(f"public.{name} lacks {', '.join(missing)}")
        elif not all(readable for table, _, readable in rows if table == name):
            wrong.append(f"public.{name} may not be read")
    if wrong:
        raise Flaw("; ".join(wrong), "The tables have to be those of ingestion/contracts.py, with SELECT granted")


def _see_every_row(connection: object, role: str) -> None:
    """No table whose rows a policy may hide from the role: what is hidden would look deleted."""
    from ingestion.postgres.failures import ROW_SECURITY_CURE

    found = connection.execute(  # type: ignore[attr-defined]
        "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relname = ANY(%s) AND row_security_active(c.oid) ORDER BY 1",
        [list(_oltp_tables())],
    ).fetchall()
    if found:
        names = ", ".join(f"public.{name}" for (name,) in found)
        raise Flaw(f"row-level security is on for {names}, and role {role} is not exempt", ROW_SECURITY_CURE)


def _may_write(connection: object, table: str) -> bool:
    found = connection.execute(  # type: ignore[attr-defined]
        "SELECT has_table_privilege(format('public.%%I', %s::text), 'INSERT, UPDATE, DELETE, TRUNCATE')", [table]
    ).fetchone()
    return bool(found[0])


def _stores(settings: Settings) -> str:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    from ingestion.stores.csv.declared import DeclarationError, read_declarations

    if not settings.stores_url:
        raise ConfigurationError("STORES_URL is not set", "Set it to s3://BUCKET/PREFIX")
    url = urlsplit(settings.stores_url)
    if url.scheme != "s3" or not url.netloc:
        raise ConfigurationError("STORES_URL is no S3 location", "Set it to s3://BUCKET/PREFIX")
    prefix = f"{url.path.strip('/')}/" if url.path.strip("/") else ""
    patience = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"total_max_attempts": 1})
    try:
        client = boto3.client("s3", endpoint_url=settings.aws_endpoint_url, config=patience)
        listed = client.list_objects_v2(Bucket=url.netloc, Prefix=prefix, MaxKeys=1)
    except ClientError as error:
        code = error.response["Error"].get("Code", "unknown")
        cure = "Check STORES_URL, AWS_ENDPOINT_URL and the credentials; they need s3:ListBucket and s3:GetObject"
        raise Flaw(f"bucket {url.netloc} cannot be listed ({code})", cure) from None
    except (BotoCoreError, ValueError) as error:
        raise Flaw(_first_line(error), "Check AWS_ENDPOINT_URL, AWS_DEFAULT_REGION and the credentials") from None
    try:
        read_declarations(settings.store_declarations)
    except DeclarationError as error:
        raise Flaw(str(error), "Correct the file; docs/store-files.md says what can be declared") from None
    return f"{settings.stores_url} can be listed{'' if listed.get('KeyCount') else ', and is empty'}"


def _shopify(settings: Settings) -> str:
    from ingestion.loading.context import SourceError
    from ingestion.shopify import queries as shopify_queries
    from ingestion.shopify.client import ShopifyClient, ShopifySource
    from ingestion.shopify.deleted_orders import ALL_ORDERS_DAYS
    from ingestion.shopify.sales_reports import GRANT_REPORTS, REPORTS_SCOPE

    if not settings.shopify_url or settings.shopify_token is None:
        raise ConfigurationError(
            "SHOPIFY_URL or SHOPIFY_TOKEN is not set", "Set both: the shop's address and its token"
        )
    source = ShopifySource(
        settings.shopify_url, settings.shopify_token.get_secret_value(), timeout=TIMEOUT, attempts=1, retry_budget=0
    )
    try:
        with ShopifyClient(source) as client:
            installation = client.query(shopify_queries.SCOPES)["currentAppInstallation"]
    except SourceError as error:
        raise Flaw(error.cause, error.cure) from None
    granted = {scope["handle"] for scope in installation["accessScopes"]}
    missing = sorted(set(shopify_queries.ACCESS_SCOPES) - granted)
    if missing:
        raise Flaw(f"the token lacks {', '.join(missing)}", "Grant the scopes to the app and install it again")
    oldest = utc_now() - timedelta(days=ALL_ORDERS_DAYS)
    if SCOPE_ALL_ORDERS not in granted and settings.history_start < oldest:
        raise Flaw(
            f"without {SCOPE_ALL_ORDERS} the shop hides orders before {oldest:%Y-%m-%d}, and history begins"
            f" {settings.start} (INSIGHTMART_START)",
            "Ask Shopify for the scope read_all_orders, or begin history later: no order is loaded until then",
        )
    if SCOPE_ALL_ORDERS not in granted:
        raise Flaw(
            f"{settings.shopify_url} answers; without {SCOPE_ALL_ORDERS} it hides orders older than 60 days",
            "Ask Shopify for the scope read_all_orders",
            "note",
        )
    if REPORTS_SCOPE not in granted:
        raise Flaw(
            f"{settings.shopify_url} answers; without {REPORTS_SCOPE} online sales are not reconciled with the shop's"
            " own sales report",
            GRANT_REPORTS,
            "note",
        )
    return f"{settings.shopify_url}, API {source.api_version}, scopes granted"


def _evidence(settings: Settings) -> str:
    from insightmart.ledger.kept_heads import FORM, SETTING, UNLOCKED_CURE, head_store

    store = head_store(settings, attempts=1)
    if store is None:
        said = f"{SETTING} is not set: heads of the ledger are kept in mails only"
        raise Flaw(said, f"{FORM}, a bucket with object lock", "note")
    if not store.has_object_lock():
        raise Flaw(f"{store.url} has no object lock: what is kept there can be deleted", UNLOCKED_CURE, "note")
    return f"{store.url} answers, with object lock"


def _pages(settings: Settings) -> str:
    from insightmart.pages.upload import SETTING, status_place

    place = status_place(settings, attempts=1)
    if place is None:
        said = f"{SETTING} is not set: the pages are in {settings.home / 'status'} only"
        raise Flaw(said, f"Set {SETTING} to show them to others", "note")
    with place.explained("listed"):
        place.client.list_objects_v2(Bucket=place.bucket, Prefix=place.prefix, MaxKeys=1)
    return f"{place.url} answers"


def _kept(settings: Settings) -> str:
    """Where originals, logs and messages outlive the disk of the home."""
    from insightmart.alerts.outbox import ASIDE, FOLDER
    from insightmart.kept_place import SETTING, kept_place

    place = kept_place(settings, attempts=1)
    if place is None:
        said = f"{SETTING} is not set: originals of quarantined files, logs and messages are in {settings.home} only"
        raise Flaw(said, f"Set {SETTING} to s3://BUCKET/PREFIX (docs/where-things-are-kept.md)", "note")
    messages = place.sizes(f"{FOLDER}/")
    if lost := sum(name.startswith(f"{FOLDER}/{ASIDE}/") for name in messages):
        raise Flaw(
            f"{place.url} answers; {lost} of the messages in it were never taken",
            "Read them there, and delete them",
            "note",
        )
    return f"{place.url} answers; messages that wait in it: {len(messages)}"


def _mail(settings: Settings) -> str:
    from insightmart.alerts.mail import addresses, connect, mail_server, reason
    from insightmart.alerts.routes import read_routes

    recipients = read_routes(settings).all_ends.mail
    if settings.smtp_url is None and not recipients and not settings.report_to:
        raise Flaw("SMTP_URL and REPORT_TO are not set: no report is mailed", "Set both to get reports", "note")
    if settings.smtp_url is None or not (recipients or settings.report_to):
        missing = "SMTP_URL" if settings.smtp_url is None else "REPORT_TO"
        raise ConfigurationError(f"{missing} is not set", "SMTP_URL and REPORT_TO belong together")
    recipients = recipients or tuple(addresses(settings.report_to or "", "REPORT_TO"))
    addresses(settings.report_from, "REPORT_FROM")
    server = mail_server(settings.smtp_url.get_secret_value())
    try:
        with connect(server, TIMEOUT) as session:
            session.noop()
    except (OSError, smtplib.SMTPException) as error:
        raise Flaw(f"{server.name}: {reason(error)}", "Check SMTP_URL, and that this machine may reach it") from None
    return f"{server.name} answers; mails go to {', '.join(recipients)}"


def _clock(settings: Settings) -> str:
    """This machine's clock against those of the sources: watermarks compare instants of both."""
    from insightmart.source_clocks import read_clocks
    from insightmart.sources import TITLES

    if not (behind := read_clocks(settings)):
        raise Flaw("not compared: no source answers", "See oltp, stores and shopify", "note")
    seconds = {source: round(skew.total_seconds()) for source, skew in behind.items()}
    far = [
        f"{abs(skew)} s {'ahead of' if skew > 0 else 'behind'} the clock of {TITLES[source]}"
        for source, skew in seconds.items()
        if abs(skew) > CLOCK_SKEW
    ]
    if far:
        raise Flaw("; ".join(far), "Synchronise the clocks (NTP); a cycle acts no later than its sources' clocks say")
    most = max(abs(skew) for skew in seconds.values())
    names = ", ".join(TITLES[source] for source in seconds)
    return f"{utc_now():%Y-%m-%d %H:%M} UTC, at most {most} s away from {names}"


def _backup(settings: Settings) -> str:
    """When a copy of the local warehouse was made last, and whether it is put where it outlives the disk."""
    from insightmart.backups.shelf import shelf_of

    if settings.gateway != "local":
        return "Snowflake and PostgreSQL are copied by their own means: docs/operations.md, On Snowflake"
    if not settings.database_path.exists():
        return "there is nothing to copy yet"
    shelf = shelf_of(settings)
    copies = shelf.manifests()
    cure = "Run `insightmart backup` by cron, once a day where no cycle runs (docs/operations.md)"
    if not copies:
        spoilt = "".join(f"; {error.cause}" for error in shelf.spoilt.values())
        raise Flaw(f"there is no copy in {shelf.where}{spoilt}", cure, "note")
    said = f"{len(copies)} in {shelf.where}, the last one of {copies[0].copied_at}"
    if shelf.spoilt:
        causes = "; ".join(error.cause for error in shelf.spoilt.values())
        raise Flaw(f"{said}; {causes}", "Look at it, and delete its folder by hand if it says nothing", "note")
    if utc_now() - copies[0].made_at > COPY_AGE:
        raise Flaw(said, cure, "note")
    if not settings.backup_url:
        raise Flaw(f"{said}, on the disk of the warehouse", "Set BACKUP_URL to a bucket, or to another disk", "note")
    return said


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


REMOTE: dict[str, Check] = {
    "oltp": _oltp,
    "stores": _stores,
    "shopify": _shopify,
    "mail": _mail,
    "evidence": _evidence,
    "pages": _pages,
    "kept": _kept,
    "clock": _clock,
    "backup": _backup,
}
