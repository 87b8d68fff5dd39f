"""Who may do what, worked out again from the rendered statements: what the page says, and nothing else."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from insightmart.account.account_files import PAGE
from insightmart.account.account_parameters import PARAMETERS, read_parameters
from insightmart.account.privileges import PRIVILEGES, read_roles
from insightmart.definitions.reader_grants import GRANTS
from insightmart.errors import ConfigurationError
from insightmart.settings import PROJECT
from tests.support.needed_rights import OWNERSHIP, lacking, needed_rights

FOLDER = PROJECT / "deploy" / "snowflake"
PROGRAMS = {"INSIGHTMART_PIPELINE": {"PIPELINE", "LOADER"}, "INSIGHTMART_TABLEAU": {"REPORTER"}}

_ROLE = re.compile(r"GRANT ROLE INSIGHTMART_(\w+) TO (ROLE|USER) (\w+)")
_DATABASE_ROLE = re.compile(r"GRANT DATABASE ROLE (SNOWFLAKE\.\w+) TO ROLE INSIGHTMART_(\w+)")
_RIGHTS = re.compile(
    r"GRANT (?P<rights>[A-Z ,]+) ON (?:(?P<account>ACCOUNT)|DATABASE (?P<database>INSIGHTMART)"
    r"|(?:(?P<when>ALL|FUTURE) (?P<kind>TABLES|VIEWS) IN )?SCHEMA INSIGHTMART\.(?P<schema>\w+|\"\w+\")"
    r"|VIEW INSIGHTMART\.(?P<of>\w+)\.(?P<view>\w+)|WAREHOUSE INSIGHTMART_(?P<warehouse>\w+))"
    r" TO ROLE INSIGHTMART_(?P<role>\w+)"
)

Found = dict[str, dict[str, set[str]]]


def statements() -> list[str]:
    """Every statement of the folder, in a line."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.sql")))
    plain = re.sub(r"(?m)^--.*$", "", text)
    return [" ".join(one.split()) for one in plain.split(";\n") if one.strip()]


def granted(sent: Iterable[str]) -> Found:
    """By role what it may do on what, inherited rights among it, from the statements alone."""
    own: Found = defaultdict(lambda: defaultdict(set))
    lasting: dict[str, Found] = {when: defaultdict(lambda: defaultdict(set)) for when in ("ALL", "FUTURE")}
    inherits: dict[str, set[str]] = defaultdict(set)
    users: dict[str, set[str]] = defaultdict(set)
    for one in (one for one in sent if one.startswith("GRANT ")):
        if role := _ROLE.fullmatch(one):
            if role[2] == "USER":
                users[role[3]].add(role[1])
            elif role[3] == "SYSADMIN":
                assert role[1] == "OWNER", f"an administrator of the account has {role[1]} by itself"
            else:
                inherits[role[3].removeprefix("INSIGHTMART_")].add(role[1])
        elif named := _DATABASE_ROLE.fullmatch(one):
            own[named[2]][named[1]].add("as the role")
        else:
            right = _RIGHTS.fullmatch(one)
            assert right, f"not understood: {one}"
            rights = {name.strip() for name in right["rights"].split(",")}
            schema = (right["schema"] or "").strip('"')
            if right["when"]:
                lasting[right["when"]][right["role"]][f"{right['kind'].lower()} in {schema}"] |= rights
            elif right["view"]:
                own[right["role"]][f"published views in {right['of']}"] |= rights
            else:
                on = "account" if right["account"] else "database" if right["database"] else None
                own[right["role"]][on or (f"schema {schema}" if schema else f"warehouse {right['warehouse']}")] |= (
                    rights
                )
    assert lasting["ALL"] == lasting["FUTURE"], "what is there and what will be are granted alike"
    assert users == PROGRAMS

    def of(role: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for on, rights in [*own[role].items(), *lasting["FUTURE"][role].items()]:
            found[on] |= rights
        for other in inherits[role]:
            for on, rights in of(other).items():
                found[on] |= rights
        return found

    return {role: dict(of(role)) for role in {*own, *lasting["FUTURE"], *inherits}}


def on_the_page() -> Found:
    """The table of the page."""
    rows = [line for line in (PROJECT / PAGE).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    start = next(number for number, line in enumerate(rows) if line.startswith("| On |"))
    table = [
        [cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in rows[start:] if line.count("|") > 5
    ]
    roles = table[0][1:]
    found: Found = {role: {} for role in roles}
    for on, *cells in table[2:]:
        for role, cell in zip(roles, cells, strict=True):
            if cell:
                found[role][on] = set(cell.split(", "))
    return found


def mistakes(sent: list[str]) -> list[str]:
    """What must never be granted, whatever the page says."""
    wrong = [one for one in sent if re.search(r"\bPUBLIC\b|\bALL PRIVILEGES\b|\bGRANT ALL\b|GRANT OPTION", one)]
    wrong += [one for one in sent if "OWNERSHIP" in one or "MANAGE GRANTS" in one]
    rights = granted([one for one in sent if one not in wrong])
    closed = ("RAW", "STAGING", "QUARANTINE", "CORE", "GATE", "OPS", "sqlmesh__")
    for role, on in ((role, on) for role, found in rights.items() for on in found):
        layer = on.rpartition(" ")[2]
        changes = rights[role][on] - {"SELECT", "USAGE", "as the role"}
        if (
            (role == "REPORTER" and layer.startswith(closed))
            or (role == "LOADER" and layer.startswith((*closed[1:5], "sqlmesh__", "CERTIFIED")))
            or (role == "TRANSFORMER" and layer == "RAW" and changes)
            or (role in ("REPORTER", "AUDITOR") and (changes or on == "account"))
            or (role == "AUDITOR" and layer.startswith((*closed[1:5], "sqlmesh__")))
            or (role != "OWNER" and on == "account")
            or "GOVERNANCE" in on.split()
        ):
            wrong.append(f"{role}: {sorted(rights[role][on])} on {on}")
    return wrong


def test_the_statements_grant_what_the_page_says_and_nothing_else() -> None:
    assert granted(statements()) == on_the_page()


def test_nobody_may_do_what_its_work_does_not_need() -> None:
    assert mistakes(statements()) == []


@pytest.mark.parametrize(
    "planted",
    [
        "GRANT SELECT ON VIEW INSIGHTMART.STAGING.OLTP_CUSTOMERS TO ROLE INSIGHTMART_REPORTER",
        "GRANT USAGE ON SCHEMA INSIGHTMART.RAW TO ROLE INSIGHTMART_REPORTER",
        'GRANT USAGE ON SCHEMA INSIGHTMART."sqlmesh__STAGING" TO ROLE INSIGHTMART_AUDITOR',
        "GRANT SELECT ON VIEW INSIGHTMART.CERTIFIED.FCT_ORDERS TO ROLE INSIGHTMART_LOADER",
        "GRANT CREATE TABLE ON SCHEMA INSIGHTMART.RAW TO ROLE INSIGHTMART_TRANSFORMER",
        "GRANT CREATE VIEW ON SCHEMA INSIGHTMART.OPS TO ROLE INSIGHTMART_AUDITOR",
        "GRANT OWNERSHIP ON SCHEMA INSIGHTMART.RAW TO ROLE INSIGHTMART_LOADER COPY CURRENT GRANTS",
        "GRANT ALL PRIVILEGES ON SCHEMA INSIGHTMART.OPS TO ROLE INSIGHTMART_LOADER",
        "GRANT USAGE ON DATABASE INSIGHTMART TO ROLE PUBLIC",
        "GRANT USAGE ON SCHEMA INSIGHTMART.GOVERNANCE TO ROLE INSIGHTMART_TRANSFORMER",
        "GRANT APPLY TAG ON ACCOUNT TO ROLE INSIGHTMART_TRANSFORMER",
        "GRANT ROLE INSIGHTMART_LOADER TO ROLE INSIGHTMART_REPORTER",
    ],
)
def test_a_right_that_is_slipped_in_is_found(planted: str) -> None:
    assert mistakes([*statements(), planted])


def test_a_right_that_lasts_only_until_the_next_table_is_found() -> None:
    sent = [
        one
        for one in statements()
        if one != "GRANT SELECT ON FUTURE TABLES IN SCHEMA INSIGHTMART.RAW TO ROLE INSIGHTMART_AUDITOR"
    ]
    assert len(sent) == len(statements()) - 1
    with pytest.raises(AssertionError, match="granted alike"):
        granted(sent)


def test_the_two_that_people_ask_about_in_full() -> None:
    rights = granted(statements())
    assert rights["REPORTER"] == {
        "database": {"USAGE"},
        "schema CERTIFIED": {"USAGE"},
        "published views in CERTIFIED": {"SELECT"},
        "warehouse REPORT": {"USAGE"},
    }
    assert rights["LOADER"] == {
        "database": {"USAGE"},
        "schema RAW": {"USAGE", "CREATE TABLE"},
        "tables in RAW": {"SELECT", "INSERT", "UPDATE", "DELETE"},
        "schema OPS": {"USAGE"},
        "tables in OPS": {"SELECT", "INSERT", "UPDATE", "DELETE"},
        "warehouse LOAD": {"USAGE"},
    }


def test_no_program_has_the_owner() -> None:
    parameters = read_parameters(PROJECT / PARAMETERS)
    assert {f"INSIGHTMART_{name}": {user.role, *user.also} for name, user in parameters.users.items()} == PROGRAMS
    assert (FOLDER / GRANTS.name).read_text(encoding="utf-8").count("TO ROLE INSIGHTMART_REPORTER;") > 10


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("inherits: [LOADER, TRANSFORMER]", "inherits: [LOADER, WRITER]", "PIPELINE: no role WRITER is stated"),
        ("    CERTIFIED: {schema: [USAGE], published", "    BRONZE: {schema: [USAGE], published", "no schema BRONZE"),
        ("warehouses: [LOAD]", "warehouses: [BIG]", "LOADER: no warehouse BIG is stated"),
        ("  warehouses: [LOAD]", "  warehouse: [LOAD]", "LOADER.warehouse: Extra inputs are not permitted"),
        ("\nREPORTER:", "\nREADER:", "OWNER: no role REPORTER is stated"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, old: str, new: str, cause: str) -> None:
    text = (PROJECT / PRIVILEGES).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "privileges.yml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=re.escape(cause)):
        read_roles(tmp_path / "privileges.yml", read_parameters(PROJECT / PARAMETERS))


@pytest.mark.parametrize(
    ("statement", "needed"),
    [
        (
            "COPY INTO RAW.ORDERS FROM '@RAW.%ORDERS/1/a.parquet' FILE_FORMAT = (TYPE = 'PARQUET')",
            {"INSERT", OWNERSHIP},
        ),
        ("INSERT INTO ops.loads (load_id) SELECT o.load_id FROM raw.orders AS o", {"INSERT", "SELECT"}),
        ("DELETE FROM raw.orders WHERE load_id IN (SELECT load_id FROM ops.loads)", {"DELETE", "SELECT"}),
        ("WITH o AS (SELECT 1 AS x FROM raw.orders) SELECT x FROM o", {"SELECT"}),
        ("ALTER TABLE raw.orders ADD COLUMN more VARCHAR", {OWNERSHIP}),
        ('CREATE TABLE "sqlmesh__CORE".orders AS SELECT 1 AS x', {"CREATE TABLE"}),
        ("CREATE OR REPLACE TEMPORARY VIEW OPS.seen AS SELECT 1 AS x", {"CREATE VIEW"}),
        ("COMMIT", set()),
    ],
)
def test_what_a_statement_takes(statement: str, needed: set[str]) -> None:
    assert {right for _, right in needed_rights([statement])} == needed


def test_who_may_not_run_a_statement() -> None:
    assert lacking("TRANSFORMER", needed_rights(["CREATE TABLE raw.orders (x INT)"])) == {
        ("schema RAW", "CREATE TABLE")
    }
    assert lacking("LOADER", needed_rights(["SELECT 1 FROM core.orders"])) == {("tables in CORE", "SELECT")}
    assert lacking("AUDITOR", needed_rights(["SELECT 1 FROM raw.orders"])) == set()
