"""`insightmart doctor`: configuration, credentials, reachability and versions, one line each, with the cure."""

from __future__ import annotations

import json
import shutil
import smtplib
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

import click
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from ingestion.clock import utc_now
from ingestion.contracts import ENTITIES, Entity
from insightmart.console_tables import without_control
from insightmart.errors import DONE, FAILED, USAGE, ConfigurationError, InsightMartError
from insightmart.settings import PROJECT, Settings, load_settings

TIMEOUT = 5  # seconds a service has for an answer
GIVEN_UP_AFTER = 12.0  # seconds after which a check that hangs in spite of its own time-outs is left alone
FREE_DISK = 2 * 2**30  # bytes
CLOCK_SKEW = 60  # seconds
SCOPE_ALL_ORDERS = "read_all_orders"


@dataclass(frozen=True)
class Finding:
    """What a check found: ``ok``, ``note`` (works, worth knowing), ``failed`` or ``not configured``."""

    check: str
    status: str
    detail: str
    cure: str = ""


class Failed(Exception):
    """A check's own verdict: what is wrong and what to do."""

    def __init__(self, detail: str, cure: str, status: str = "failed") -> None:
        super().__init__(detail)
        self.detail = detail
        self.cure = cure
        self.status = status


Check = Callable[[Settings], str]


def examine(settings: Settings, names: Sequence[str] = ()) -> list[Finding]:
    """Run the checks, the remote ones side by side. No check's failure keeps another from running.

    Args:
        settings: as ``load_settings`` gives them.
        names: only these checks, out of ``CHECKS``; none for all.
    """
    remote = {name: check for name, check in REMOTE.items() if name in (names or REMOTE)}
    local = {name: check for name, check in LOCAL.items() if name in (names or LOCAL)}
    with _side_by_side(remote, settings) as answers:
        found = [_run(name, check, settings) for name, check in local.items()]
    return [*found, *answers()]


def _run(name: str, check: Check, settings: Settings) -> Finding:
    try:
        return Finding(name, "ok", _masked(check(settings), settings))
    except Failed as failure:
        return Finding(name, failure.status, _masked(failure.detail, settings), failure.cure)
    except ConfigurationError as error:
        return Finding(name, "not configured", _masked(error.cause, settings), error.cure)
    except InsightMartError as error:
        return Finding(name, "failed", _masked(error.cause, settings), error.cure)
    except Exception as error:  # noqa: BLE001 a check that breaks is a finding as well, and the others still run
        detail = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return Finding(name, "failed", _masked(detail, settings), "Run again with --debug, or report it")


@contextmanager
def _side_by_side(checks: dict[str, Check], settings: Settings) -> Iterator[Callable[[], list[Finding]]]:
    """Start checks in threads; the result collects their findings and gives up on those that hang."""
    findings: dict[str, Finding] = {}

    def work(name: str, check: Check) -> None:
        findings[name] = _run(name, check, settings)

    threads = {
        name: threading.Thread(target=work, args=(name, check), name=name, daemon=True)
        for name, check in checks.items()
    }
    for thread in threads.values():
        thread.start()

    def collect() -> list[Finding]:
        for thread in threads.values():
            thread.join(GIVEN_UP_AFTER)
        cure = "Check the network and the name of the host"
        return [findings.get(name) or Finding(name, "failed", "no answer", cure) for name in threads]

    yield collect


def _masked(text: str, settings: Settings) -> str:
    for secret in settings.secrets:
        text = text.replace(secret, "***")
    return without_control(text)


# --- this machine ------------------------------------------------------------------------------------------------


def _pyproject() -> dict[str, object]:
    project: dict[str, object] = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def _python(_: Settings) -> str:
    wanted = SpecifierSet(str(_pyproject()["requires-python"]))
    running = ".".join(str(part) for part in sys.version_info[:3])
    if running not in wanted:
        raise Failed(f"Python {running} does not fit {wanted}", f"Make the environment with a Python {wanted}")
    return running


def _packages(_: Settings) -> str:
    wanted: object = _pyproject()["dependencies"]
    assert isinstance(wanted, list)
    wrong = []
    for requirement in map(Requirement, wanted):
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            wrong.append(f"{requirement.name} {installed} does not fit {requirement.specifier}")
    if wrong:
        cure = "pip install --no-deps --require-hashes -r requirements.lock"
        raise Failed("; ".join(wrong), cure)
    return f"{len(wanted)} as pyproject.toml asks"


def _home(settings: Settings) -> str:
    folder = settings.home
    while not folder.exists():
        folder = folder.parent
    cure = f"Give the user write access to {folder}, or set INSIGHTMART_HOME elsewhere"
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise Failed(f"{settings.home} cannot be written: {error.strerror}", cure) from None
    if free < FREE_DISK:
        raise Failed(f"{settings.home}: {free / 2**30:.1f} GiB free", "Free at least 2 GiB there")
    return f"{settings.home}, {free / 2**30:.0f} GiB free"


def _warehouse(settings: Settings) -> str:
    from insightmart.gateway import open_warehouse

    if settings.gateway == "local" and not settings.database_path.exists():
        return f"{settings.database_path} does not exist yet; the first cycle creates it"
    with open_warehouse(settings) as warehouse:
        answer = warehouse.value("SELECT 1")
    if answer != 1:
        raise Failed("the warehouse does not answer a query", "See the account's status page")
    where = str(settings.database_path) if settings.gateway == "local" else f"Snowflake {settings.snowflake_account}"
    return f"{where} is free"


def _project(settings: Settings) -> str:
    from sqlmesh import Context
    from sqlmesh.core.console import NoopConsole, set_console
    from sqlmesh.utils.errors import SQLMeshError

    set_console(NoopConsole())
    try:
        context = Context(paths=str(PROJECT), gateway=settings.gateway)
    except SQLMeshError as error:
        raise Failed(f"it cannot be loaded: {' '.join(str(error).split())[:300]}", "`sqlmesh lint` says more") from None
    try:
        count = f"{len(context.models)} models"
        if settings.gateway == "local" and not (settings.home / "state.duckdb").exists():
            return f"{count}; no environment prod yet, the first cycle creates it"
        try:
            environment = context.state_reader.get_environment("prod")
        except Exception as error:  # noqa: BLE001 whatever the state's database raises: it cannot be read
            raise Failed(
                f"{count}, but the state cannot be read: {' '.join(str(error).split())[:200]}",
                "Wait for the running cycle to end; with Snowflake check the STATE_ settings",
            ) from None
        if environment is None:
            return f"{count}; no environment prod yet, the first cycle creates it"
        return f"{count}, environment prod exists"
    finally:
        context.close()


# --- sources and services ----------------------------------------------------------------------------------------


def _oltp(settings: Settings) -> str:
    import psycopg

    dsn = _oltp_dsn(settings)
    try:
        with psycopg.connect(dsn, connect_timeout=TIMEOUT, options=f"-c statement_timeout={TIMEOUT}s") as connection:
            role, server = connection.execute("SELECT current_user::text, current_setting('server_version')").fetchone()  # type: ignore[misc]
            _compare_contract(connection)
            writable = [name for name in _oltp_tables() if _may_write(connection, name)]
    except psycopg.Error as error:
        raise Failed(_first_line(error), "Check host, port, database, user and password of OLTP_DSN") from None
    if writable:
        raise Failed(
            f"role {role} may write {', '.join(writable)}",
            "Use a role with SELECT only: nothing here ever writes to the source",
            "note",
        )
    return f"PostgreSQL {server}, role {role} reads {len(_oltp_tables())} tables and cannot write"


def _oltp_dsn(settings: Settings) -> str:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    if settings.oltp_dsn is None:
        raise ConfigurationError("OLTP_DSN is not set", "Set it to postgresql://user:password@host:5432/database")
    dsn = settings.oltp_dsn.get_secret_value()
    try:
        conninfo_to_dict(dsn)
    except ProgrammingError:
        raise ConfigurationError(
            "OLTP_DSN is no PostgreSQL connection string", "Use postgresql://user:password@host:5432/database"
        ) from None
    return dsn


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
        raise Failed("; ".join(wrong), "The tables have to be those of ingestion/contracts.py, with SELECT granted")


def _may_write(connection: object, table: str) -> bool:
    found = connection.execute(  # type: ignore[attr-defined]
        "SELECT has_table_privilege(format('public.%%I', %s::text), 'INSERT, UPDATE, DELETE, TRUNCATE')", [table]
    ).fetchone()
    return bool(found[0])


def _stores(settings: Settings) -> str:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

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
        raise Failed(f"bucket {url.netloc} cannot be listed ({code})", cure) from None
    except (BotoCoreError, ValueError) as error:
        raise Failed(_first_line(error), "Check AWS_ENDPOINT_URL, AWS_DEFAULT_REGION and the credentials") from None
    return f"{settings.stores_url} can be listed{'' if listed.get('KeyCount') else ', and is empty'}"


def _shopify(settings: Settings) -> str:
    from ingestion.loading.context import SourceError
    from ingestion.shopify import queries as shopify_queries
    from ingestion.shopify.client import ShopifyClient, ShopifySource

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
        raise Failed(error.cause, error.cure) from None
    granted = {scope["handle"] for scope in installation["accessScopes"]}
    missing = sorted(set(shopify_queries.ACCESS_SCOPES) - granted)
    if missing:
        raise Failed(f"the token lacks {', '.join(missing)}", "Grant the scopes to the app and install it again")
    if SCOPE_ALL_ORDERS not in granted:
        raise Failed(
            f"{settings.shopify_url} answers; without {SCOPE_ALL_ORDERS} it hides orders older than 60 days",
            "Ask Shopify for the scope read_all_orders",
            "note",
        )
    return f"{settings.shopify_url}, API {source.api_version}, scopes granted"


def _mail(settings: Settings) -> str:
    from insightmart.status.mail import addresses, connect, mail_server, reason

    if settings.smtp_url is None and not settings.report_to:
        raise Failed("SMTP_URL and REPORT_TO are not set: no report is mailed", "Set both to get reports", "note")
    if settings.smtp_url is None or not settings.report_to:
        missing = "SMTP_URL" if settings.smtp_url is None else "REPORT_TO"
        raise ConfigurationError(f"{missing} is not set", "SMTP_URL and REPORT_TO belong together")
    recipients = addresses(settings.report_to, "REPORT_TO")
    addresses(settings.report_from, "REPORT_FROM")
    server = mail_server(settings.smtp_url.get_secret_value())
    try:
        with connect(server, TIMEOUT) as session:
            session.noop()
    except (OSError, smtplib.SMTPException) as error:
        raise Failed(f"{server.name}: {reason(error)}", "Check SMTP_URL, and that this machine may reach it") from None
    return f"{server.name} answers; reports go to {', '.join(recipients)}"


def _clock(settings: Settings) -> str:
    """This machine's clock against that of a source: watermarks and `--as-of` compare instants of both."""
    import psycopg

    try:
        dsn = _oltp_dsn(settings)
        with psycopg.connect(dsn, connect_timeout=TIMEOUT) as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
    except (ConfigurationError, psycopg.Error):
        raise Failed("not compared: the OLTP server does not answer", "See oltp", "note") from None
    assert row is not None
    skew = abs((row[0].astimezone(UTC).replace(tzinfo=None) - utc_now()).total_seconds())
    if skew > CLOCK_SKEW:
        raise Failed(f"{skew:.0f} s away from the OLTP server's clock", "Synchronise both clocks (NTP)")
    return f"{utc_now():%Y-%m-%d %H:%M} UTC, {skew:.0f} s away from the OLTP server's"


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


LOCAL: dict[str, Check] = {
    "python": _python,
    "packages": _packages,
    "home": _home,
    "warehouse": _warehouse,
    "project": _project,
}
REMOTE: dict[str, Check] = {"oltp": _oltp, "stores": _stores, "shopify": _shopify, "mail": _mail, "clock": _clock}
CHECKS = (*LOCAL, *REMOTE)


# --- the command -------------------------------------------------------------------------------------------------

_MARKS = {
    "ok": ("ok", "green"),
    "note": ("note", "yellow"),
    "failed": ("FAIL", "red"),
    "not configured": ("SET", "red"),
}


def exit_code(findings: Sequence[Finding]) -> int:
    """0 all fine, 1 something failed, 2 a setting is missing or unusable."""
    statuses = {finding.status for finding in findings}
    if "not configured" in statuses:
        return USAGE
    return FAILED if "failed" in statuses else DONE


@click.command()
@click.argument("checks", nargs=-1, type=click.Choice(CHECKS))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor_command(checks: tuple[str, ...], as_json: bool) -> int:
    """Check configuration, credentials, reachability and versions: one line each, with the cure.

    CHECKS narrow it to what was just put right.

    \b
    Examples:
      insightmart doctor
      insightmart doctor oltp shopify

    Exit codes: 0 all fine; 1 something failed; 2 a setting is missing or unusable.
    """
    findings = examine(load_settings(), checks)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
        return exit_code(findings)
    for finding in findings:
        sign, colour = _MARKS[finding.status]
        cure = f". {finding.cure}" if finding.cure else ""
        click.echo(f"{click.style(sign.ljust(4), fg=colour)}  {finding.check.ljust(9)}  {finding.detail}{cure}")
    return exit_code(findings)
