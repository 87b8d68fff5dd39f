"""Every setting, read in one place from the environment and `.env`."""

from __future__ import annotations

import os
import re
from datetime import date, datetime, time
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from insightmart.errors import ConfigurationError
from insightmart.plain_connections import named, refuse_plain, refuse_plain_services
from insightmart.secrets_manager import SecretError, is_named, secret_value

PERIOD = r"^\s*[1-9]\d{0,4} (days|months|years)\s*$"
PROJECT = Path(__file__).resolve().parents[1]  # the SQLMesh project is the repository root
ADDRESSES = ("aws_endpoint_url", "heartbeat_url", "openlineage_url", "shopify_url", "smtp_url")
# What SQLMesh makes its models and its configuration of: config.yaml cannot ask Secrets Manager.
RENDERED = {
    "AWS_ENDPOINT_URL",
    "INSIGHTMART_CURRENCY",
    "INSIGHTMART_GATEWAY",
    "INSIGHTMART_HOME",
    "INSIGHTMART_START",
    "INSIGHTMART_TIMEZONE",
    "PLAIN_CONNECTIONS",
    "SHOPIFY_POS_STORES",
    "SNOWFLAKE_AUTHENTICATOR",
    "STATE_PORT",
}


def _explained(cause: str, cure: str) -> PydanticCustomError:
    """Why a value cannot be used, as ``load_settings`` hands it on."""
    return PydanticCustomError("explained", "{cause}", {"cause": cause, "cure": cure})


class AlertSettings(BaseSettings):
    """What it takes to tell people: these can be read where another setting is wrong, to tell them just that."""

    # The prefix keeps field names from being read as variables themselves: `home` must never be taken from HOME.
    model_config = SettingsConfigDict(
        env_file=PROJECT / ".env", extra="ignore", populate_by_name=True, env_prefix="INSIGHTMART_SETTING_"
    )

    plain_connections: str = Field("", alias="PLAIN_CONNECTIONS")  # first: others ask it
    aws_endpoint_url: str | None = Field(None, alias="AWS_ENDPOINT_URL")  # next: the others may be read from there

    home: Path = Field(Path("var"), alias="INSIGHTMART_HOME")
    timezone: str = Field("America/New_York", alias="INSIGHTMART_TIMEZONE")

    smtp_url: SecretStr | None = Field(None, alias="SMTP_URL")
    report_to: str | None = Field(None, alias="REPORT_TO")
    report_from: str = Field("insightmart@localhost", alias="REPORT_FROM")
    daily_report_at: time = Field(time(6), alias="DAILY_REPORT_AT")  # of the company's clock
    routes: Path | None = Field(None, alias="INSIGHTMART_ROUTES")
    status_address: str = Field("", alias="STATUS_ADDRESS", pattern=r"^(https?://\S+)?$")
    heartbeat_url: SecretStr | None = Field(None, alias="HEARTBEAT_URL")
    kept_url: str | None = Field(None, alias="KEPT_URL")

    @field_validator("*", mode="before")
    @classmethod
    def _kept_in_secrets_manager(cls, value: Any, info: ValidationInfo) -> Any:
        if not is_named(value):
            return value
        setting = str(cls.model_fields[str(info.field_name)].alias)
        if setting in RENDERED:
            raise PydanticCustomError("plain", "it cannot be kept in Secrets Manager, and is no secret")
        try:
            refuse_plain_services(named(info.data.get("plain_connections", "")))
            return secret_value(setting, value, info.data.get("aws_endpoint_url"))
        except (SecretError, ConfigurationError) as error:
            raise _explained(error.cause, error.cure) from None

    @field_validator("plain_connections")
    @classmethod
    def _can_be_plain(cls, value: str) -> str:
        try:
            named(value)
        except ConfigurationError as error:
            raise _explained(error.cause, error.cure) from None
        return value

    @field_validator("home")
    @classmethod
    def _plain_path(cls, value: Path) -> Path:
        if found := sorted(set("'%*?[]") & set(str(value.absolute()))):  # DuckDB and dlt take these for something else
            raise ValueError(f"a path with {' '.join(found)} cannot be used; name another folder")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("must be an IANA time zone such as 'America/New_York'")
        return value

    @field_validator("routes", mode="before")
    @classmethod
    def _or_none(cls, value: Any) -> Any:
        return value or None

    @field_validator("kept_url")
    @classmethod
    def _in_a_bucket(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"s3://[^/\s]+(/\S*)?", value):
            raise ValueError("must be s3://BUCKET/PREFIX")
        return value or None

    @field_validator("daily_report_at")
    @classmethod
    def _of_the_clock(cls, value: time) -> time:
        if value.tzinfo:
            raise ValueError("must be a time of the company's clock such as 06:00, without a zone")
        return value

    @field_validator("heartbeat_url")
    @classmethod
    def _web_address(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value() if value else ""
        if text and not text.lower().startswith(("http://", "https://")):
            raise ValueError("must be an address that begins with https:// or http://")
        return value if text else None

    @field_validator(*ADDRESSES, check_fields=False)
    @classmethod
    def _encrypted(cls, value: str | SecretStr | None, info: ValidationInfo) -> str | SecretStr | None:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value or ""
        try:
            setting = str(cls.model_fields[str(info.field_name)].alias)
            refuse_plain(setting, text, named(info.data.get("plain_connections", "")))
        except ConfigurationError as error:
            raise _explained(error.cause, error.cure) from None
        return value

    @property
    def allowed_plain(self) -> frozenset[str]:
        """The settings whose connections may leave this machine unencrypted."""
        return named(self.plain_connections)

    @property
    def routes_file(self) -> Path | None:
        """Where it stands who is told what; None: nowhere, everything goes to REPORT_TO."""
        own = self.home / "routes.yml"
        return self.routes or (own if own.is_file() else None)


class Settings(AlertSettings):
    """The pipeline's settings; the README's table says what each is for."""

    gateway: str = Field("local", alias="INSIGHTMART_GATEWAY")
    start: date = Field(date(2026, 1, 1), alias="INSIGHTMART_START")
    currency: str = Field("USD", alias="INSIGHTMART_CURRENCY", pattern="^[A-Z]{3}$")
    actor: str | None = Field(None, alias="INSIGHTMART_ACTOR")

    # seconds; an hour that was missed adds as much again to the last two
    source_silence_limit: float = Field(60, alias="SOURCE_SILENCE_LIMIT", gt=0)
    source_limit: float = Field(1800, alias="SOURCE_LIMIT", gt=0)
    cycle_limit: float = Field(3300, alias="CYCLE_LIMIT", gt=0)

    oltp_dsn: SecretStr | None = Field(None, alias="OLTP_DSN")
    oltp_statement_timeout: int = Field(3600, alias="OLTP_STATEMENT_TIMEOUT", ge=1)
    stores_url: str | None = Field(None, alias="STORES_URL")
    store_declarations: Path = Field(PROJECT / "ingestion" / "stores" / "declared.yml", alias="STORE_DECLARATIONS")
    store_grace_minutes: int = Field(30, alias="STORE_GRACE_MINUTES", ge=0)
    shopify_url: str | None = Field(None, alias="SHOPIFY_URL")
    shopify_token: SecretStr | None = Field(None, alias="SHOPIFY_TOKEN")
    # numbers of locations of Shopify POS and the stores they stand for: LOCATION=STORE, separated by commas
    shopify_pos_stores: str = Field(
        "", alias="SHOPIFY_POS_STORES", pattern=r"^\s*(\d+=[1-9]\d*(\s*,\s*\d+=[1-9]\d*)*)?\s*$"
    )

    oltp_deleted_columns: str = Field("", alias="OLTP_DELETED_COLUMNS")
    deletions_percent: float = Field(5.0, alias="DELETIONS_PERCENT", ge=0, le=100)
    deletions_rows: int = Field(20, alias="DELETIONS_ROWS", ge=0)

    retention_raw: str = Field("2 years", alias="RETENTION_RAW", pattern=PERIOD)
    retention_aggregates: str = Field("5 years", alias="RETENTION_AGGREGATES", pattern=PERIOD)
    retention_evidence: str = Field("7 years", alias="RETENTION_EVIDENCE", pattern=PERIOD)

    backup_url: str = Field("", alias="BACKUP_URL")  # a folder, or s3://
    evidence_url: str | None = Field(None, alias="EVIDENCE_URL")
    status_url: str | None = Field(None, alias="STATUS_URL")

    # a path, file://, http:// or https://; secret, because an address may hold a password
    openlineage_url: SecretStr | None = Field(None, alias="OPENLINEAGE_URL")
    openlineage_api_key: SecretStr | None = Field(None, alias="OPENLINEAGE_API_KEY")
    openlineage_namespace: str = Field("insightmart", alias="OPENLINEAGE_NAMESPACE", min_length=1)

    snowflake_account: str | None = Field(None, alias="SNOWFLAKE_ACCOUNT")
    snowflake_user: str | None = Field(None, alias="SNOWFLAKE_USER")
    snowflake_password: SecretStr | None = Field(None, alias="SNOWFLAKE_PASSWORD")
    snowflake_authenticator: str = Field("snowflake_jwt", alias="SNOWFLAKE_AUTHENTICATOR")
    snowflake_private_key: SecretStr | None = Field(None, alias="SNOWFLAKE_PRIVATE_KEY")
    snowflake_private_key_path: Path | None = Field(None, alias="SNOWFLAKE_PRIVATE_KEY_PATH")
    snowflake_private_key_passphrase: SecretStr | None = Field(None, alias="SNOWFLAKE_PRIVATE_KEY_PASSPHRASE")
    snowflake_role: str = Field("INSIGHTMART_PIPELINE", alias="SNOWFLAKE_ROLE")
    snowflake_load_role: str | None = Field(None, alias="SNOWFLAKE_LOAD_ROLE")
    snowflake_report_role: str | None = Field(None, alias="SNOWFLAKE_REPORT_ROLE")
    snowflake_warehouse: str = Field("INSIGHTMART_TRANSFORM", alias="SNOWFLAKE_WAREHOUSE")
    snowflake_load_warehouse: str | None = Field(None, alias="SNOWFLAKE_LOAD_WAREHOUSE")
    snowflake_gate_warehouse: str | None = Field(None, alias="SNOWFLAKE_GATE_WAREHOUSE")
    snowflake_report_warehouse: str | None = Field(None, alias="SNOWFLAKE_REPORT_WAREHOUSE")
    snowflake_statement_timeout: int = Field(3600, alias="SNOWFLAKE_STATEMENT_TIMEOUT", ge=1)
    snowflake_credit_usd: float = Field(0, alias="SNOWFLAKE_CREDIT_USD", ge=0)  # of the contract; 0: the table's

    budget_usd: int = Field(18_000, alias="BUDGET_USD", gt=0)

    state_host: str | None = Field(None, alias="STATE_HOST")
    state_port: int = Field(5432, alias="STATE_PORT", ge=1, le=65535)
    state_user: str = Field("insightmart_state", alias="STATE_USER")
    state_password: SecretStr | None = Field(None, alias="STATE_PASSWORD")
    state_database: str = Field("sqlmesh", alias="STATE_DATABASE")

    @field_validator("gateway")
    @classmethod
    def _known_gateway(cls, value: str) -> str:
        if value not in ("local", "snowflake"):
            raise ValueError("must be 'local' or 'snowflake'")
        return value

    @field_validator("snowflake_private_key_path", mode="before")
    @classmethod
    def _path_or_none(cls, value: Any) -> Any:
        return value or None

    @field_validator("openlineage_url")
    @classmethod
    def _known_transport(cls, value: SecretStr | None) -> SecretStr | None:
        scheme, found, rest = value.get_secret_value().partition("://") if value else ("", "", "")
        if found and (scheme.lower() not in ("http", "https", "file") or not rest.strip("/")):
            raise ValueError("must be a path, file:///PATH, http://HOST or https://HOST")
        return value if value and value.get_secret_value().strip() else None

    @cached_property
    def database_path(self) -> Path:
        """The local warehouse; the file is named as the catalog, in upper case."""
        return self.home / "INSIGHTMART.duckdb"

    @property
    def state_path(self) -> Path:
        """SQLMesh's state beside the local warehouse."""
        return self.home / "state.duckdb"

    @property
    def history_start(self) -> datetime:
        """First instant of history, UTC without a zone."""
        return datetime(self.start.year, self.start.month, self.start.day)

    def warehouse_of(self, workload: str) -> str:
        """Snowflake's warehouse for ``load``, ``transform``, ``gate`` or ``report``."""
        own = {
            "load": self.snowflake_load_warehouse,
            "gate": self.snowflake_gate_warehouse,
            "report": self.snowflake_report_warehouse,
        }
        return own.get(workload) or self.snowflake_warehouse

    def role_of(self, workload: str) -> str:
        """Snowflake's role for the same; gates have that of models, whose tables they read."""
        own = {"load": self.snowflake_load_role, "report": self.snowflake_report_role}
        return own.get(workload) or self.snowflake_role

    @property
    def secrets(self) -> list[str]:
        """Texts that must appear in no log, error or report."""
        found = [
            self.oltp_dsn,
            self.shopify_token,
            self.smtp_url,
            self.heartbeat_url,
            self.snowflake_password,
            self.state_password,
            self.snowflake_private_key,
            self.snowflake_private_key_passphrase,
            self.openlineage_api_key,
        ]
        if self.openlineage_url and "@" in self.openlineage_url.get_secret_value():  # a path is no secret
            found.append(self.openlineage_url)
        return [secret.get_secret_value() for secret in found if secret]


_last_read: Settings | None = None


def last_read() -> Settings | None:
    """What ``load_settings`` gave last in this process."""
    return _last_read


def load_alert_settings() -> AlertSettings:
    """The settings of alerts, where those of the pipeline cannot be used: one that is wrong itself is left out."""
    try:
        settings = AlertSettings()  # type: ignore[call-arg]
    except ValidationError as error:
        wrong = {str(problem["loc"][0]) for problem in error.errors()}
        fields = AlertSettings.model_fields.values()
        settings = AlertSettings(**{str(field.alias): field.default for field in fields if field.alias in wrong})
    settings.home = settings.home.resolve()
    return settings


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: a value cannot be used; the message names the variable, never the value.
    """
    global _last_read
    try:
        settings = Settings()  # type: ignore[call-arg]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if first["type"] == "explained":
            raise ConfigurationError(first["ctx"]["cause"], first["ctx"]["cure"]) from None
        raise ConfigurationError(
            f"{name} cannot be used: {first['msg']}", f"Set {name} in the environment or in .env"
        ) from None
    refuse_plain_services(settings.allowed_plain)
    _last_read = settings
    # SQLMesh and Soda read the same variables: relative paths and defaults must mean the same to them.
    settings.home = settings.home.resolve()
    os.environ["INSIGHTMART_HOME"] = str(settings.home)
    os.environ.setdefault("INSIGHTMART_START", settings.start.isoformat())
    os.environ.setdefault("INSIGHTMART_GATEWAY", settings.gateway)
    return settings
