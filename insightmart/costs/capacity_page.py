"""``python -m insightmart.costs.capacity_page``: writes the tables of docs/capacity.md, which a test compares."""

from __future__ import annotations

import sys

from insightmart.account.account_files import between_marks
from insightmart.account.account_parameters import PARAMETERS, read_parameters
from insightmart.costs.capacity import PAGE, capacity_tables
from insightmart.costs.measurements import read_measurements
from insightmart.costs.price_table import read_prices
from insightmart.settings import PROJECT


def page_as_it_should_be() -> str:
    """The page with the tables that the model gives today."""
    account = read_parameters(PROJECT / PARAMETERS)
    tables = capacity_tables(read_measurements(), account, read_prices().credits_an_hour)
    return between_marks((PROJECT / PAGE).read_text(encoding="utf-8"), tables)


def main() -> None:
    """Write the page, and name it if it was out of date."""
    path, text = PROJECT / PAGE, page_as_it_should_be()
    if path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
