"""Snowflake's protocol for clients as far as a refusal goes, over HTTP on loopback; the connector before it is real.

It answers logins and statements as it is told to, with numbers and texts as Snowflake's. It computes nothing: what a
statement answers stands in ``fakesnow_session``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import snowflake.connector

Refused = tuple[str, str, str]  # code, SQL state, message


@dataclass
class Account:
    """What the account does next.

    Attributes:
        login: how a login is refused; None: it is not.
        status: HTTP status of a login, when nobody of Snowflake answers it.
        lacks: what of ``role``, ``warehouse`` and ``database`` a login leaves out, because the user may not use it.
        statement: how a statement is refused.
        logins: how many there were.
        statements: what was sent.
    """

    login: Refused | None = None
    status: int = 200
    lacks: tuple[str, ...] = ()
    statement: Refused | None = None
    logins: int = 0
    statements: list[str] = field(default_factory=list)

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and JSON for a request."""
        url = urlsplit(path)
        if url.path.endswith("/login-request"):
            self.logins += 1
            if self.status != 200:
                return self.status, {}
            if self.login:
                return 200, _refused(self.login)
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            given = {
                f"{name}Name": None if name in self.lacks else asked.get(key)
                for name, key in (("role", "roleName"), ("warehouse", "warehouse"), ("database", "databaseName"))
            }
            data = {"token": "t", "masterToken": "m", "parameters": [], "sessionId": 1, "sessionInfo": given}
            return 200, {"success": True, "code": None, "message": None, "data": data}
        if url.path.endswith("/query-request"):
            self.statements.append(body["sqlText"])
            if self.statement:
                return 200, _refused(self.statement)
        return 200, {"success": True, "code": None, "message": None, "data": {}}


def _refused(refused: Refused) -> dict[str, Any]:
    code, state, message = refused
    data = {"errorCode": code, "sqlState": state, "queryId": "01b2c3d4-0000-0000-0000-000000000001"}
    return {"success": False, "code": code, "message": message, "data": data}


@contextmanager
def refusing_account(patch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account that the connector finds wherever it looks for one."""
    account = Account()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                content = gzip.decompress(content)
            status, found = account.answer(self.path, json.loads(content or b"{}"))
            text = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    connect = snowflake.connector.connect
    there = {"host": "127.0.0.1", "port": server.server_port, "protocol": "http"}
    patch.setattr(snowflake.connector, "connect", lambda **named: connect(**named, **there))
    try:
        yield account
    finally:
        server.shutdown()
        server.server_close()
