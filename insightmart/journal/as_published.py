"""Questions to the past: a query that reads certified as it was shown at an instant."""

from __future__ import annotations

from datetime import datetime

from insightmart.errors import ConfigurationError
from insightmart.journal.figures import as_published
from insightmart.journal.followed import FOLLOWED


def shown_at(query: str, instant: datetime, dialect: str) -> str:
    """A query whose followed tables are those that were shown at an instant (UTC).

    Raises:
        ConfigurationError: it is no SQL, or reads something of certified that the journal does not follow.
    """
    import sqlglot
    from sqlglot import exp

    followed = {one.table: one for one in FOLLOWED}
    known = " and ".join(f"certified.{name}" for name in followed)
    try:
        tree = sqlglot.parse_one(query, read=dialect)
    except sqlglot.errors.SqlglotError as error:
        line = str(error).splitlines()[0]
        raise ConfigurationError(f"this is not SQL that can be read: {line}", "Ask with one SELECT") from None
    read = [table for table in tree.find_all(exp.Table) if table.db.lower() not in ("", "ops")]
    for table in read:
        name = table.name.lower()
        if table.db.lower() != "certified" or name not in followed:
            raise ConfigurationError(
                f"{table.db}.{table.name} is not kept as it was shown", f"The journal follows {known}; ask these"
            )
        shown = sqlglot.parse_one(as_published(followed[name], instant), read=dialect)
        table.replace(exp.Subquery(this=shown, alias=exp.TableAlias(this=exp.to_identifier(table.alias_or_name))))
    if not read:
        raise ConfigurationError("the query reads nothing of certified", f"The journal follows {known}; ask these")
    return tree.sql(dialect=dialect)
