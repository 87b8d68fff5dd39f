"""Which content of a store file counts: the one place in Python for the rule.

``staging._stores_inventory`` says it in its SQL; ``tests/models/test_stated_twice.py`` holds the two against each
other.
"""

from __future__ import annotations


def current_loads(table: str, condition: str = "1 = 1") -> str:
    """SQL for the loads whose rows of a file count: file name and load id of its latest content.

    Content may come in parts, as what could not be read at first is replayed; it counts until a load brings another
    content of the file.

    Args:
        table: raw table of a kind of files.
        condition: which of its rows are considered.
    """
    contents = f"(SELECT DISTINCT file_name, file_hash, _dlt_load_id FROM {table} WHERE {condition})"
    return f"""
        SELECT content.file_name, content._dlt_load_id
        FROM {contents} AS content
        LEFT JOIN {contents} AS later
            ON later.file_name = content.file_name
            AND later._dlt_load_id > content._dlt_load_id
            AND later.file_hash <> content.file_hash
        WHERE later.file_name IS NULL
    """
