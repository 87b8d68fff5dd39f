"""An account that is new: what commands say of it, how it is set up, and what each role did on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.needed_rights import lacking, needed_rights
from tests.support.workshop import CommandLine

# Each kind of work with its own role and warehouse, as in production.
APART = {
    "SNOWFLAKE_LOAD_ROLE": "INSIGHTMART_LOADER",
    "SNOWFLAKE_REPORT_ROLE": "INSIGHTMART_AUDITOR",
    "SNOWFLAKE_LOAD_WAREHOUSE": "INSIGHTMART_LOAD",
    "SNOWFLAKE_GATE_WAREHOUSE": "INSIGHTMART_GATE",
    "SNOWFLAKE_REPORT_WAREHOUSE": "INSIGHTMART_REPORT",
}


def set_up(settings: Mapping[str, str], insightmart: CommandLine, session: Any) -> None:
    """A cycle on it is refused in one line with the cure, and changes nothing; then it is set up by the command."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        patch.setenv("INSIGHTMART_AS_OF", "2026-03-06T00:00")
        code, _, err = insightmart("cycle")
        assert code == 2, err
        assert "Run `insightmart setup`" in err.splitlines()[-1]
        assert insightmart("setup", "--plan")[0] == 0
        assert {text.split()[0] for text in session.texts} == {"SELECT"}
        code, out, err = insightmart("setup")
        assert (code, out.count(" applied")) == (0, 2), err
        assert "Nothing to do." in insightmart("setup")[1]


def each_role_may_do_what_it_does(session: Any) -> None:
    """No statement took a right that the role of its session has not."""
    sent: dict[str, set[str]] = {}
    for role, text in zip(session.roles, session.texts, strict=True):
        sent.setdefault(role.removeprefix("INSIGHTMART_"), set()).add(text)
    missing = {role: found for role, texts in sent.items() if (found := lacking(role, needed_rights(texts)))}
    assert missing == {}, missing
