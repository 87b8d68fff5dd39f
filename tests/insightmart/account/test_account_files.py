"""The statements for the account: each may be run again, is in Snowflake's grammar, and leaves no text bare."""

from __future__ import annotations

import re

import pytest

import insightmart.transform.sqlmesh_patches  # noqa: F401  which a project that loads imports itself
from ingestion.contracts import ENTITIES, REJECTS, TEXT
from insightmart.account.account_files import PAGE, SEEING, account_files, raw_tags
from insightmart.account.account_parameters import PARAMETERS, AccountParameters, read_parameters
from insightmart.account.privileges import PRIVILEGES, AccountRole, read_roles
from insightmart.settings import PROJECT, Settings
from insightmart.snowflake_sessions import session_parameters
from insightmart.transform.snowflake_adapter import BUILT_AGAIN
from tests.support.statements import unparsable


@pytest.fixture(scope="module")
def parameters() -> AccountParameters:
    return read_parameters(PROJECT / PARAMETERS)


@pytest.fixture(scope="module")
def roles(parameters: AccountParameters) -> dict[str, AccountRole]:
    return read_roles(PROJECT / PRIVILEGES, parameters)


@pytest.fixture(scope="module")
def statements(parameters: AccountParameters, roles: dict[str, AccountRole]) -> dict[str, str]:
    """Each statement, in a line -> its file."""
    found = {}
    for name, text in account_files(parameters, roles).items():
        for one in re.sub(r"(?m)^--.*$", "", text).split(";\n"):
            if one.strip():
                found[" ".join(one.split())] = name
    return found


def test_snowflakes_grammar_has_every_statement(statements: dict[str, str], pytestconfig: pytest.Config) -> None:
    """The kinds that sqlfluff does not know stand on the page, with Snowflake's own page on each."""
    unknown = {" ".join(one.split()[:2]) for one in unparsable(statements, pytestconfig.cache)}
    page = (PROJECT / PAGE).read_text(encoding="utf-8")
    named = re.findall(r"\| `(ALTER \w+)[^`]*` \| \[[^]]+\]\(https://docs\.snowflake\.com/en/sql-reference/sql/", page)
    assert set(named) == unknown
    assert len(statements) > 200


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "ALTER WAREHOUSE INSIGHTMART_LOAD SET WAREHOUSE_SIZE",
            "ALTER WAREHOUSE INSIGHTMART_LOAD SET WAREHOUSE_LENGTH",
        ),
        ("GRANT USAGE ON WAREHOUSE", "GRANT USAGE AT WAREHOUSE"),
        ("ON 100 PERCENT DO SUSPEND", "ON 100 PERCENT DO NOTHING"),
        ("ALTER SCHEMA INSIGHTMART.RAW SET TAG", "ALTER SCHEMA INSIGHTMART.RAW SET LABEL"),
        ("CREATE ROLE IF NOT EXISTS", "CREATE ROLE UNLESS EXISTS"),
    ],
)
def test_a_statement_that_is_wrong_is_found(
    statements: dict[str, str], pytestconfig: pytest.Config, old: str, new: str
) -> None:
    wrong = {one.replace(old, new): name for one, name in statements.items() if old in one}
    assert wrong
    assert unparsable(wrong, pytestconfig.cache)


def test_every_statement_may_be_run_again_and_destroys_nothing(statements: dict[str, str]) -> None:
    kinds = {one.split()[0] for one in statements}
    assert kinds == {"USE", "CREATE", "ALTER", "GRANT"}
    for one in statements:
        assert not re.search(r"\b(OR REPLACE|DROP|UNSET|TRUNCATE|DELETE FROM)\b", one), one
        if one.startswith("CREATE"):
            assert " IF NOT EXISTS " in one, one
        if one.startswith("ALTER TABLE"):
            assert one.startswith("ALTER TABLE IF EXISTS "), one


def test_what_is_created_gets_its_parameters_again_each_time(statements: dict[str, str]) -> None:
    """So that a changed parameter reaches what is there already."""
    created = {
        re.sub(r"^CREATE (TRANSIENT )?", "", one).split(" IF NOT EXISTS ")[0]: set()
        for one in statements
        if one.startswith("CREATE")
    }
    for kind in created:
        pattern = re.compile(rf"(CREATE (?:TRANSIENT )?|ALTER ){kind} (?:IF NOT EXISTS )?(\S+) ")
        made = [found for one in statements if (found := pattern.match(one))]
        altered = {found[2] for found in made if found[1] == "ALTER "}
        assert {found[2] for found in made if found[1] != "ALTER "} - altered <= {"INSIGHTMART"}, kind


def test_each_layer_has_its_schemas_and_those_that_are_built_again_are_transient(parameters: AccountParameters) -> None:
    layers = {path.name.upper() for path in (PROJECT / "models").iterdir() if path.is_dir()}
    physical = {name for name in parameters.schemas if name.startswith("sqlmesh__")}
    assert physical == {f"sqlmesh__{layer}" for layer in layers}
    assert set(parameters.schemas) - physical == {*layers, "RAW", "OPS", "GOVERNANCE"}
    assert {name.lower() for name, schema in parameters.schemas.items() if schema.transient} == BUILT_AGAIN


def test_the_account_says_what_our_sessions_say(parameters: AccountParameters) -> None:
    own = session_parameters(Settings())
    assert parameters.session.items() <= own.items()
    assert {"TIMEZONE", "TIMESTAMP_TYPE_MAPPING"} <= parameters.session.keys()


def test_warehouses_and_roles_of_the_settings_are_there(
    parameters: AccountParameters, roles: dict[str, AccountRole]
) -> None:
    fields = Settings.model_fields
    assert str(fields["snowflake_role"].default).removeprefix("INSIGHTMART_") in roles
    assert str(fields["snowflake_warehouse"].default).removeprefix("INSIGHTMART_") in parameters.warehouses


def test_programs_log_in_with_a_key_pair_alone_and_from_known_networks(statements: dict[str, str]) -> None:
    users = [one.split()[5] for one in statements if one.startswith("CREATE USER")]
    assert users == ["INSIGHTMART_PIPELINE", "INSIGHTMART_TABLEAU"]
    assert not [one for one in statements if "PASSWORD" in one]
    for user in users:
        own = " ".join(one for one in statements if one.startswith(f"ALTER USER {user} "))
        assert "TYPE = SERVICE" in own
        assert "DEFAULT_SECONDARY_ROLES = ()" in own
        assert "SET NETWORK_POLICY = INSIGHTMART_PROGRAMS" in own
        assert "SET AUTHENTICATION POLICY INSIGHTMART.GOVERNANCE.KEY_PAIR_ONLY FORCE" in own
    (policy,) = [one for one in statements if one.startswith("ALTER AUTHENTICATION POLICY")]
    assert "AUTHENTICATION_METHODS = ('KEYPAIR')" in policy


def test_the_month_is_stopped_before_it_costs_more_than_the_budget(
    parameters: AccountParameters, statements: dict[str, str]
) -> None:
    budget, monitors = parameters.budget, parameters.monitors
    assert monitors.pop("INSIGHTMART_ACCOUNT") * budget.usd_a_credit <= 18_000 * 0.9
    assert sum(monitors.values()) * budget.usd_a_credit <= 18_000 * 0.9
    for name, quota in monitors.items():
        (stopped,) = [one for one in statements if one.startswith(f"ALTER RESOURCE MONITOR {name} ")]
        assert f"CREDIT_QUOTA = {quota} " in stopped
        assert stopped.endswith("ON 75 PERCENT DO NOTIFY ON 90 PERCENT DO NOTIFY ON 100 PERCENT DO SUSPEND")
        assert f"ALTER WAREHOUSE {name} SET RESOURCE_MONITOR = {name}" in statements
    for name in parameters.warehouses:
        (told,) = [
            one for one in statements if one.startswith(f"ALTER WAREHOUSE INSIGHTMART_{name} SET WAREHOUSE_SIZE")
        ]
        assert re.search(r"AUTO_SUSPEND = [1-9]\d* AUTO_RESUME = TRUE STATEMENT_TIMEOUT_IN_SECONDS = [1-9]", told)


def test_every_text_of_raw_is_masked_unless_somebody_said_that_it_is_nobodys(parameters: AccountParameters) -> None:
    tags = {(table, column): value for table, column, value in raw_tags(parameters)}
    for item in (*ENTITIES, REJECTS):
        table = "REJECTS" if item is REJECTS else item.table.upper()
        for name in item.personal:
            assert tags[table, name.upper()] == "yes"
            assert next(column.type for column in item.columns if column.name == name) == TEXT  # what the policy masks
        if item.person or item.personal:
            assert (table, None) not in tags  # so that a column that no contract has stays masked
    assert tags["REJECTS", "RAW_TEXT"] == tags["STORES_REFERENCE", "MANAGER"] == "yes"
    assert tags["OLTP_CUSTOMERS", "COUNTRY"] == tags["OLTP_PRODUCTS", None] == "no"
    assert ("OLTP_CUSTOMERS", "CREATED_AT") not in tags


def test_only_who_computes_with_personal_data_sees_it(
    parameters: AccountParameters, statements: dict[str, str], roles: dict[str, AccountRole]
) -> None:
    (body,) = [one for one in statements if one.startswith("ALTER MASKING POLICY")]
    assert re.findall(r"IS_ROLE_IN_SESSION\('INSIGHTMART_(\w+)'\)", body) == list(SEEING)
    assert not {"REPORTER", "AUDITOR"} & {*SEEING, *roles["PIPELINE"].inherits}
    masked = {name for name, schema in parameters.schemas.items() if schema.masked}
    tagged = [re.match(r'ALTER SCHEMA INSIGHTMART\."?(\w+)"? SET TAG', one) for one in statements]
    assert {found[1] for found in tagged if found} == masked
    assert {"RAW", "STAGING", "QUARANTINE", "CORE"} <= masked
    assert {f"sqlmesh__{name}" for name in masked - {"RAW"} if "__" not in name} <= masked
