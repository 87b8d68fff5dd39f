"""Which rights on Snowflake statements take, in the words of deploy/snowflake/privileges.yml, and who has them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import sqlglot
from sqlglot import exp

from insightmart.account.account_parameters import PARAMETERS, read_parameters
from insightmart.account.privileges import PRIVILEGES, all_rights, read_roles
from insightmart.read_copy import CERTIFIED_COPY
from insightmart.settings import PROJECT

OWNERSHIP = "OWNERSHIP"  # of a table: to alter or drop it, or to use its own stage

_CHANGES = {exp.Insert: {"INSERT"}, exp.Copy: {"INSERT"}, exp.Delete: {"DELETE"}, exp.Update: {"UPDATE"}} | {
    exp.Merge: {"INSERT", "UPDATE"}
}
_NO_RIGHT = re.compile(r"(BEGIN|COMMIT|ROLLBACK|SELECT CURRENT_|ALTER SESSION|USE )", re.I)
_ALTERED_VIEW = re.compile(r'ALTER VIEW (?:"?INSIGHTMART"?\.)?"?(?P<schema>\w+)"?\.', re.I)  # sqlglot knows none
_CLONED = re.compile(r'.*CREATE OR REPLACE TRANSIENT SCHEMA \S+ CLONE \S+\."(?P<schema>\w+)"', re.S)  # nor this
_STAGED = re.compile(r"""(?:PUT|REMOVE|COPY INTO)\s.*?@"?(?P<schema>\w+)"?\."?%""", re.I | re.S)


def needed_rights(statements: Iterable[str]) -> set[tuple[str, str]]:
    """Each right that they take: what it is on, and the right."""
    found: set[tuple[str, str]] = set()
    for statement in set(statements):
        if _NO_RIGHT.match(statement):
            continue
        if staged := _STAGED.match(statement):
            found.add((f"tables in {staged['schema'].upper()}", OWNERSHIP))
            if not statement.startswith("COPY"):
                continue
            statement = re.sub(r"(?s)\sFROM\s.*", " FROM @stage", statement)
        if view := _ALTERED_VIEW.match(statement):
            found.add((f"tables in {_spelled(view['schema'])}", OWNERSHIP))
            continue
        if cloned := _CLONED.match(statement):
            found |= {("database", "CREATE SCHEMA"), (f"tables in {_spelled(cloned['schema'])}", "SELECT")}
            continue
        for parsed in sqlglot.parse(statement.replace("%s", "?"), dialect="snowflake"):
            found |= _of(parsed) if parsed is not None else set()
    return found


def _of(parsed: exp.Expr) -> set[tuple[str, str]]:
    steps = {step.alias_or_name for step in parsed.find_all(exp.CTE)}
    tables = [table for table in parsed.find_all(exp.Table) if table.db or table.name not in steps]
    changes = next((rights for kind, rights in _CHANGES.items() if isinstance(parsed, kind)), set())
    if isinstance(parsed, exp.Create) and str(parsed.args["kind"]).upper() == "SCHEMA":
        return {("database", "CREATE SCHEMA")}
    found = set()
    if changes or isinstance(parsed, exp.Create | exp.Alter | exp.Drop):
        target = tables[0]
        if isinstance(parsed, exp.Create):
            found.add((f"schema {_schema(target)}", f"CREATE {str(parsed.args['kind']).upper()}"))
        found |= {(f"tables in {_schema(target)}", right) for right in changes}
        if isinstance(parsed, exp.Alter | exp.Drop):
            found.add((f"tables in {_schema(target)}", OWNERSHIP))
        if not isinstance(parsed, exp.Delete | exp.Update | exp.Merge):  # those look at the rows that are there
            tables = tables[1:]
    metered = {table for table in tables if table.db.upper() == "ACCOUNT_USAGE"}
    found |= {
        ("SNOWFLAKE.USAGE_VIEWER", "as the role") for _ in metered
    }  # of what cycles read; no statement of anybody
    read = {_schema(table) for table in tables if table not in metered} - {"", "INFORMATION_SCHEMA"}
    return found | {(f"tables in {schema}", "SELECT") for schema in read}


def _schema(table: exp.Table) -> str:
    return _spelled(table.db)


def _spelled(schema: str) -> str:
    return schema if schema.startswith("sqlmesh__") else schema.upper()


def lacking(role: str, needed: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """What a role must not do of what is needed. Whoever may create tables or views in a schema owns those of the
    pipeline, and may do with them what there is to be done; so does whoever creates the copy of certified."""
    rights = all_rights(read_roles(PROJECT / PRIVILEGES, read_parameters(PROJECT / PARAMETERS)))[role]
    own = {on.removeprefix("schema "): has for on, has in rights.items() if on.startswith("schema ")}

    def owns(on: str, right: str) -> bool:
        if on == f"tables in {CERTIFIED_COPY}":
            return "CREATE SCHEMA" in rights.get("database", ())
        has = own.get(on.removeprefix("tables in "), frozenset()) if on.startswith("tables in ") else frozenset()
        return "CREATE TABLE" in has or ("CREATE VIEW" in has and right in ("SELECT", OWNERSHIP))

    return {(on, right) for on, right in needed if right not in rights.get(on, ()) and not owns(on, right)}
