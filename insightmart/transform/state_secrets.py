"""How SQLMesh connects to its state in PostgreSQL, with what Secrets Manager keeps: a change to SQLMesh."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from sqlmesh.core.config.connection import PostgresConnectionConfig
from sqlmesh.utils.errors import ConfigError

from ingestion.encryption import trusted_roots
from insightmart.errors import sentence
from insightmart.plain_connections import tls_of_state
from insightmart.secrets_manager import SecretError, is_named, secret_value
from insightmart.settings import load_settings


class _Verified(PostgresConnectionConfig):
    """The state's database, judged by the certificates that every PostgreSQL server of ours is judged by."""

    @property
    def _static_connection_kwargs(self) -> dict[str, Any]:
        return {"sslrootcert": trusted_roots()}


def with_its_secrets(create: Callable[..., Any]) -> Callable[..., Any]:
    """The state's database: what Secrets Manager keeps of its settings is read when it is first connected to.

    Why: config.yaml is rendered before any code of ours runs, and a password that is never in the environment is handed
    to no child.

    Test: tests/insightmart/test_secrets_manager.py
    """

    @functools.wraps(create)
    def create_engine_adapter(self: PostgresConnectionConfig, *args: Any, **kwargs: Any) -> Any:
        named = {name: value for name, value in self.dict().items() if is_named(value)}
        endpoint = load_settings().aws_endpoint_url if named else None
        try:
            found = {name: secret_value(f"STATE_{name.upper()}", value, endpoint) for name, value in named.items()}
        except SecretError as error:
            raise ConfigError(sentence(error.cause, error.cure)) from None
        tls = tls_of_state(self.host, load_settings().allowed_plain)
        known = {
            **self.dict(by_alias=True, exclude={"shared_connection"}),
            **found,
            **{name: tls[name] for name in tls if name == "sslmode"},
        }
        return create((_Verified if tls else PostgresConnectionConfig)(**known), *args, **kwargs)

    return create_engine_adapter
