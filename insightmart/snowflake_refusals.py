"""Why Snowflake refuses a login, or any statement: cause and cure of each reason, in one table.

Numbers and texts are those of Snowflake's documentation and of what users of its clients report; none was met on an
account yet. Of a login the Python connector (3.18) keeps the text alone and says 250001 whatever the number was, so the
text decides, and the number where it is there. Refusals that speak of a statement itself (syntax, a table that is
missing, a value) are none of these: they are left as they are, because the libraries above act on them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from insightmart.errors import ConfigurationError, InsightMartError

SETTINGS_OF_WAREHOUSES = "SNOWFLAKE_WAREHOUSE or the setting of its workload"


@dataclass(frozen=True)
class Refusal:
    """One reason.

    Attributes:
        numbers: Snowflake's or the connector's, where they are known and mean nothing else.
        text: what its message says, as a pattern without regard to case; empty: the number is enough.
        cause: in our words, with {account}, {user}, {role} and {warehouse} of the session.
        cure: what to do.
        is_setting: a setting or the account's set-up is wrong, and stays so (exit code 2); else it may pass.
    """

    numbers: tuple[int, ...]
    text: str
    cause: str
    cure: str
    is_setting: bool = True


NO_ROLE = Refusal(
    (390189,),
    r"role .{0,300}(specified in the connect string does not exist|is not granted to this user)",
    "role {role} does not exist in Snowflake account {account}, or is not granted to user {user}",
    "Check SNOWFLAKE_ROLE; `GRANT ROLE {role} TO USER {user}` if it is right (deploy/snowflake/1_roles.sql)",
)
NO_WAREHOUSE = Refusal(
    (606, 390201),
    r"No active warehouse selected|requested warehouse does not exist or not authorized",
    "warehouse {warehouse} does not exist in Snowflake account {account}, or role {role} may not use it",
    f"Check {SETTINGS_OF_WAREHOUSES}, and its grants (deploy/snowflake/2_objects.sql, 3_grants.sql)",
)
NO_DATABASE = Refusal(
    (90105,),
    r"requested database does not exist or not authorized|database '?\"?INSIGHTMART\"?'? does not exist or not auth",
    "Snowflake account {account} has no database INSIGHTMART that role {role} may use",
    "Apply deploy/snowflake/2_objects.sql and 3_grants.sql, or check SNOWFLAKE_ACCOUNT and SNOWFLAKE_ROLE",
)

REFUSALS = (
    # --- the login ---------------------------------------------------------------------------------------------------
    Refusal(
        (390144,),
        r"JWT token is invalid",
        "the key is not one of user {user} of Snowflake account {account}, or has been taken off it",
        "Compare `DESCRIBE USER {user}` (RSA_PUBLIC_KEY_FP) with the key, SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER and this"
        " machine's clock with theirs; SYSTEM$GET_LOGIN_FAILURE_DETAILS has more{token}",
    ),
    Refusal(
        (390100,),
        r"Incorrect username or password",
        "Snowflake account {account} knows no user {user} with this password",
        "Check SNOWFLAKE_USER and SNOWFLAKE_PASSWORD",
    ),
    Refusal(
        (),
        r"User access disabled",
        "user {user} is disabled in Snowflake account {account}",
        "An administrator runs ALTER USER {user} SET DISABLED = FALSE",
        is_setting=False,
    ),
    Refusal(
        (),
        r"temporarily locked|user login has been locked",
        "user {user} is locked in Snowflake account {account} after failed logins",
        "Wait 15 minutes, or an administrator runs ALTER USER {user} SET MINS_TO_UNLOCK = 0",
        is_setting=False,
    ),
    Refusal(
        (),
        r"is not allowed to access Snowflake",
        "a network policy of Snowflake account {account} does not let this machine in{address}",
        "Add the address it goes out with (of the NAT) to the networks of deploy/snowflake/account.yml, and apply them",
        is_setting=False,
    ),
    NO_ROLE,
    NO_DATABASE,
    Refusal(
        (),
        r"password has expired",
        "the password of user {user} has expired",
        "Use a key pair (SNOWFLAKE_PRIVATE_KEY), or change the password in Snowsight",
    ),
    Refusal(
        (),
        r"multi-factor authentication|MFA authentication|Duo Security|rejected by the current authentication policy",
        "Snowflake account {account} does not let user {user} in by this kind of login",
        "Use a key pair: SNOWFLAKE_AUTHENTICATOR=snowflake_jwt with SNOWFLAKE_PRIVATE_KEY",
    ),
    Refusal(
        (),
        r"account is suspended|free trial has ended|marked for decommission|account .{0,80} locked",
        "Snowflake account {account} is suspended",
        "Its administrator has to settle that with Snowflake (billing)",
        is_setting=False,
    ),
    Refusal(
        (290403, 290404, 290400),
        r"Verify the account name is correct|000403",
        "there is no Snowflake account {account}",
        "Set SNOWFLAKE_ACCOUNT to ORGANISATION-ACCOUNT, as `SELECT CURRENT_ORGANIZATION_NAME() || '-' ||"
        " CURRENT_ACCOUNT_NAME()` says, without .snowflakecomputing.com",
    ),
    Refusal(
        (251006,),
        "",
        "no password for Snowflake user {user}",
        "Set SNOWFLAKE_PASSWORD, or use a key pair",
    ),
    Refusal(
        (),
        r"Could not connect to Snowflake backend",
        "Snowflake account {account} does not answer",
        "Check SNOWFLAKE_ACCOUNT, this machine's DNS and its way out to port 443, and status.snowflake.com; the next"
        " cycle goes on from here",
        is_setting=False,
    ),
    # --- the warehouse, met by the first statement that computes -----------------------------------------------------
    Refusal(
        (),
        r"resource monitor",
        "the budget of warehouse {warehouse} is spent: its resource monitor lets it compute nothing more",
        "Wait for the next period, or raise the quota in deploy/snowflake/account.yml and apply 5_budget.sql; the next"
        " cycle goes on from there",
        is_setting=False,
    ),
    NO_WAREHOUSE,
    Refusal(
        (),
        r"warehouse .{0,300} (is suspended|cannot be resumed)",
        "warehouse {warehouse} is suspended and may not resume by itself",
        "ALTER WAREHOUSE {warehouse} SET AUTO_RESUME = TRUE, as deploy/snowflake/2_objects.sql has it",
        is_setting=False,
    ),
)


def refusal(error: Exception, session: Mapping[str, str]) -> InsightMartError | None:
    """What an error of the connector means; None: it is none of these.

    Args:
        error: as the connector raised it.
        session: account, user, role and warehouse it was of.
    """
    number, text = getattr(error, "errno", -1), " ".join(str(error).split())
    for one in REFUSALS:
        if number in one.numbers or (one.text and re.search(one.text, text, re.I)):
            told = _told(one, session, text)
            told.add_note(text)  # for --debug
            return told
    return None


def lacking(connection: object, session: Mapping[str, str], database: str) -> InsightMartError | None:
    """What a new session was not given of what it asked for: Snowflake lets the user in all the same, and refuses only
    statements after that. None where it has all.

    Args:
        connection: the connector's, which knows what the login answered.
        session: account, user, and the role and the warehouse that were asked for.
        database: the database that was asked for.
    """
    asked = {"role": session.get("role"), "warehouse": session.get("warehouse"), "database": database}
    for (name, wanted), told in zip(asked.items(), (NO_ROLE, NO_WAREHOUSE, NO_DATABASE), strict=True):
        given = getattr(connection, name, wanted)  # a stand-in need not know
        if wanted and (given or "").strip('"').upper() != wanted.strip('"').upper():
            return _told(told, session, "")
    return None


def _told(one: Refusal, session: Mapping[str, str], text: str) -> InsightMartError:
    names = {name: session.get(name, "?") for name in ("account", "user", "role", "warehouse")}
    names |= {"token": _found(r"\[[0-9a-f-]{36}\]", text), "address": _found(r"(?<=IP/Token )\S+|(?<=IP )\S+", text)}
    cause, cure = one.cause.format(**names), one.cure.format(**names)
    return ConfigurationError(cause, cure) if one.is_setting else InsightMartError(cause, cure)


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return f" ({found[0].strip('[]')})" if found else ""
