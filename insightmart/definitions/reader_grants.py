"""What readers of certified may read on Snowflake, table by table: deploy/snowflake/readers.sql.

The parts TABLE__SOURCE lie in the same schema, are not named, and so are not even seen. Moving them would have cost a
full rebuild of every fact in each warehouse, because a model's name is part of its version.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ingestion.warehouse import DATABASE

GRANTS = Path("deploy/snowflake/readers.sql")
ROLE = f"{DATABASE}_REPORTER"

_HEADER = f"""\
-- What REPORTER reads: the certified tables, one by one, and nothing else. Written by `make docs` from the models; not
-- to be edited.
--
-- Run it after the first `insightmart cycle` and whenever a table is new; it may be run again at any time. The parts
-- TABLE__SOURCE lie in the same schema and are not granted, so readers do not see them; GRANT ... ON ALL or FUTURE
-- VIEWS would show them. A plan that changes a view keeps its grants (COPY GRANTS), and a view needs none of its reader
-- on what it reads. Role, schema and warehouse: 1_roles.sql to 3_grants.sql; docs/snowflake-account.md.

USE ROLE {DATABASE}_OWNER;

"""


def reader_grants(tables: Iterable[str]) -> str:
    """The statements; ``tables`` are the names of models of certified, those of parts among them."""
    named = sorted(table for table in tables if "__" not in table)
    return _HEADER + "".join(
        f"GRANT SELECT ON VIEW {DATABASE}.CERTIFIED.{table.upper()} TO ROLE {ROLE};\n" for table in named
    )
