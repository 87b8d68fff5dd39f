"""Who may do what on Snowflake: deploy/snowflake/privileges.yml, and what follows from it through inheritance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from insightmart.account.account_parameters import AccountParameters
from insightmart.definitions.files import mistake, read_mapping

PRIVILEGES = Path("deploy/snowflake/privileges.yml")
OWNER = "OWNER"

# what a right is on -> the rights
Rights = Mapping[str, frozenset[str]]


class SchemaRights(BaseModel):
    """Rights on a schema, and on the tables and views in it; ``published``: SELECT on certified tables, one by one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on_schema: tuple[str, ...] = Field(alias="schema")
    tables: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    published: bool = False


class AccountRole(BaseModel):
    """A role, whose rights it has beside its own (``inherits``), and its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    comment: str
    inherits: tuple[str, ...] = ()
    account: tuple[str, ...] = ()
    database: tuple[str, ...] = ()
    schemas: Mapping[str, SchemaRights] = {}
    warehouses: tuple[str, ...] = ()
    database_roles: tuple[str, ...] = ()

    def own(self) -> Iterator[tuple[str, str]]:
        """Each of its own rights: what it is on, and the right."""
        yield from (("account", right) for right in self.account)
        yield from (("database", right) for right in self.database)
        for name, rights in self.schemas.items():
            yield from ((f"schema {name}", right) for right in rights.on_schema)
            yield from ((f"tables in {name}", right) for right in rights.tables)
            yield from ((f"views in {name}", right) for right in rights.views)
            if rights.published:
                yield f"published views in {name}", "SELECT"
        yield from ((f"warehouse {name}", "USAGE") for name in self.warehouses)
        yield from ((name, "as the role") for name in self.database_roles)


def read_roles(path: Path, parameters: AccountParameters) -> dict[str, AccountRole]:
    """The roles in a file, by name.

    Raises:
        ConfigurationError: it cannot be read, or speaks of a role, schema or warehouse that is not stated.
    """
    try:
        roles = TypeAdapter(dict[str, AccountRole]).validate_python(read_mapping(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise mistake(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for name, role in roles.items():
        for kind, asked, stated in (
            ("role", role.inherits, roles),
            ("schema", role.schemas, parameters.schemas),
            ("warehouse", role.warehouses, parameters.warehouses),
        ):
            if unknown := sorted(set(asked) - set(stated)):
                raise mistake(path, f"{name}: no {kind} {unknown[0]} is stated")
    for name, user in parameters.users.items():
        if unknown := sorted({user.role, *user.also} - set(roles)):
            raise mistake(path, f"no role {unknown[0]}, which user {name} has")
        if more := sorted(set(user.also) - set(roles[user.role].inherits)):
            raise mistake(path, f"role {more[0]} of user {name} has rights that its role {user.role} has not")
    return roles


def all_rights(roles: Mapping[str, AccountRole]) -> dict[str, Rights]:
    """By role what it may do, its own and what it inherits."""
    return {name: {on: frozenset(rights) for on, rights in _of(roles, name).items()} for name in roles}


def _of(roles: Mapping[str, AccountRole], name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for on, right in roles[name].own():
        found[on].add(right)
    for inherited in roles[name].inherits:
        for on, rights in _of(roles, inherited).items():
            found[on] |= rights
    return found


def privilege_table(roles: Mapping[str, AccountRole]) -> str:
    """The matrix as Markdown: what a right is on by row, roles by column, inherited rights among them."""
    rights = all_rights(roles)
    rows = sorted({on for found in rights.values() for on in found}, key=_in_order)
    lines = [["On", *(f"`{name}`" for name in roles)], ["---"] * (len(roles) + 1)]
    lines += [[on, *(", ".join(sorted(rights[name].get(on, ()))) for name in roles)] for on in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _in_order(on: str) -> tuple[int, str, str]:
    kind, _, name = on.rpartition(" ")
    first = ("account", "database").index(on) if on in ("account", "database") else 2
    return (3 if kind == "warehouse" else 4 if "." in on else first, name.lower(), kind)
