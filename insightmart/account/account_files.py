"""The statements, file by file, for whoever administers the account; docs/snowflake-account.md says in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ingestion.contracts import ENTITIES, FILE_COLUMNS, LOAD_COLUMNS, REJECTS
from ingestion.warehouse import DATABASE
from insightmart.account.account_parameters import AccountParameters, spelled
from insightmart.account.privileges import AccountRole, privilege_table
from insightmart.settings import PROJECT

TEMPLATES = Path("deploy/snowflake/templates")
PAGE = Path("docs/snowflake-account.md")
BEGIN, END = "<!-- written by make docs -->\n", "<!-- until here -->\n"

SEEING = ("LOADER", "TRANSFORMER")  # roles that see personal data: they compute with it, and find whom to erase
TAG, POLICY = "PERSONAL", "PERSONAL_TEXT"

_WRITTEN = "-- Written by `make docs` from account.yml and privileges.yml; not to be edited. May be run again.\n"
_HEADERS = {
    "1_roles.sql": "Roles, and the users of programs.",
    "2_objects.sql": "Database, schemas, warehouses.",
    "3_grants.sql": "What each role may do, and nothing else.",
    "4_logins.sql": "How programs log in, and from where.",
    "5_budget.sql": "Parameters of sessions, and what a month may cost.",
    "6_masking.sql": "Personal data is masked for whoever does not compute with it. Before the first load.",
    "7_columns.sql": "Which texts of raw are personal and which are not. After the first load, and whenever a table\n"
    "-- of raw is new: until then all of its texts are masked.",
}


def account_files(
    parameters: AccountParameters, roles: Mapping[str, AccountRole], project: Path = PROJECT
) -> dict[str, str]:
    """The statements by name of their file. Each file may be run again at any time."""
    environment = Environment(
        loader=FileSystemLoader(project / TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"text": _text, "texts": _texts, "value": _value}
    schemas = {name: _as(f"{DATABASE}.{_identifier(name)}", stated) for name, stated in parameters.schemas.items()}
    values = {
        "database": DATABASE,
        "prefix": DATABASE,
        "budget": parameters.budget,
        "monitors": parameters.monitors,
        "network": parameters.network,
        "session": parameters.session,
        "schemas": schemas,
        "roles": {name: _as(spelled(name), role) for name, role in roles.items()},
        "users": {name: _as(spelled(name), user) for name, user in parameters.users.items()},
        "warehouses": {name: _as(spelled(name), stated) for name, stated in parameters.warehouses.items()},
        "seeing": SEEING,
        "tag": f"{DATABASE}.GOVERNANCE.{TAG}",
        "policy": f"{DATABASE}.GOVERNANCE.{POLICY}",
        "columns": list(raw_tags(parameters)),
    }
    return {
        name: f"-- {header}\n{_WRITTEN}\n" + environment.get_template(f"{name}.j2").render(values)
        for name, header in _HEADERS.items()
    }


def raw_tags(parameters: AccountParameters) -> Iterator[tuple[str, str | None, str]]:
    """Tables of raw with a column, or None for the table itself, and whether its texts are personal: yes or no.

    A table of customers or orders says so column by column: a text that nobody has looked at, such as a column that
    the source has and no contract, stays masked. Of any other table all texts are nobody's but those that are named.
    """
    for item in (*ENTITIES, REJECTS):
        table = "REJECTS" if item is REJECTS else item.table.upper()
        more = parameters.masked_too[table].columns if table in parameters.masked_too else ()
        personal = [*item.personal, *more]
        if item.person is None and not item.personal:
            yield table, None, "no"
        else:
            own = {column.name for column in (*LOAD_COLUMNS, *FILE_COLUMNS) if column.type == pa.string()}
            known = [*item.impersonal, *(column.name for column in item.raw_columns if column.name in own)]
            yield from ((table, name.upper(), "no") for name in known if name not in personal)
        yield from ((table, name.upper(), "yes") for name in personal)


def page_with_table(page: str, roles: Mapping[str, AccountRole]) -> str:
    """A page with the matrix of privileges between its marks."""
    return between_marks(page, privilege_table(roles))


def between_marks(page: str, text: str) -> str:
    """A page with a text that is written by `make docs` between its marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}"


def _as(name: str, stated: Any) -> dict[str, Any]:
    """What is stated, with the name that the account knows it by."""
    return {**{field: getattr(stated, field) for field in type(stated).model_fields}, "spelled": name}


def _identifier(name: str) -> str:
    return name if name.isupper() else f'"{name}"'


def _text(value: str) -> str:
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def _texts(values: Iterable[Any]) -> str:
    return ", ".join(map(_text, values))


def _value(value: bool | int | str) -> str:
    return str(value).upper() if isinstance(value, bool) else str(value) if isinstance(value, int) else _text(value)
