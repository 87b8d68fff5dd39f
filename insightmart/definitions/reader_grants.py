"""What readers of certified may read on Snowflake, table by table: deploy/snowflake/readers.sql.

The parts TABLE__SOURCE lie in the same schema, are not named, and so are not even seen. Moving them would have cost a
full rebuild of every fact in each warehouse, because a model's name is part of its version.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ingestion.warehouse import DATABASE

GRANTS = Path("deploy/snowflake/readers.sql")
ROLE = "INSIGHTMART_READER"

_HEADER = f"""\
-- The role that analysts and Tableau read with: the certified tables, one by one, and nothing else. Written by
-- `make docs` from the models; not to be edited.
--
-- Run it as the role that owns the database, after the first `insightmart cycle` and whenever a table is new; it may
-- be run again at any time. The parts TABLE__SOURCE lie in the same schema and are not granted, so readers do not see
-- them; GRANT ... ON ALL or FUTURE VIEWS would show them. A plan that changes a view keeps its grants (COPY GRANTS),
-- and a view needs none of its reader on what it reads.
--
-- Who gets the role, and the warehouse that it computes on, is said apart:
--   GRANT ROLE {ROLE} TO USER ...;
--   GRANT USAGE ON WAREHOUSE INSIGHTMART_REPORT TO ROLE {ROLE};

CREATE ROLE IF NOT EXISTS {ROLE} COMMENT = 'Reads the certified tables';

GRANT USAGE ON DATABASE {DATABASE} TO ROLE {ROLE};
GRANT USAGE ON SCHEMA {DATABASE}.CERTIFIED TO ROLE {ROLE};

"""


def reader_grants(tables: Iterable[str]) -> str:
    """The statements; ``tables`` are the names of models of certified, those of parts among them."""
    named = sorted(table for table in tables if "__" not in table)
    return _HEADER + "".join(
        f"GRANT SELECT ON VIEW {DATABASE}.CERTIFIED.{table.upper()} TO ROLE {ROLE};\n" for table in named
    )
