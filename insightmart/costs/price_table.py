"""The one table of prices (prices.yml): what a unit costs, where that was read, and whether it was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from insightmart.definitions.files import mistake, read_mapping

PRICES = Path(__file__).with_name("prices.yml")
CREDIT = "credit"
STORAGE = "snowflake_storage"
Size = Literal["XSMALL", "SMALL", "MEDIUM", "LARGE", "XLARGE", "XXLARGE"]  # of a warehouse


class _Listed(BaseModel):
    """What stands in the file, and nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceTableFacts(_Listed):
    """Of when and where the prices are."""

    looked_up: date
    region: str
    currency: str


class WarehouseCredits(_Listed):
    """Credits that a warehouse takes for an hour awake, by its size."""

    sizes: Mapping[Size, int]
    page: str = Field(pattern="^https://")


class UnitPrice(_Listed):
    """What a unit costs.

    Attributes:
        usd: dollars for one unit.
        usd_high: more than that, where another page says so.
        unit: of what.
        page: where it was read; of a price that is not verified, where to look it up.
        dated: the month or year that the page gives for itself, or ``undated``.
        verified: whether the figure was read on that page.
        note: what else is to be known.
        of: types of CloudFormation that it is paid for.
    """

    usd: float = Field(gt=0)
    usd_high: float | None = None
    unit: str
    page: str = Field(pattern="^https://")
    dated: str = Field(pattern=r"^(\d{4}(-\d\d)?|undated)$")
    verified: bool
    note: str = ""
    of: tuple[str, ...] = ()


class PriceTable(_Listed):
    """All prices by name."""

    about: PriceTableFacts
    credits_an_hour: WarehouseCredits
    units: Mapping[str, UnitPrice]

    def usd(self, name: str, *, is_high: bool = False) -> float:
        """The price of a unit; the higher one where pages differ and it is asked for."""
        unit = self.units[name]
        return unit.usd_high if is_high and unit.usd_high else unit.usd


def read_prices(path: Path = PRICES) -> PriceTable:
    """The prices in a file.

    Raises:
        ConfigurationError: it cannot be read, or a price lacks something; the message names the place.
    """
    stated = dict(read_mapping(path))
    try:
        about, credits = stated.pop("about", {}), stated.pop("credits_an_hour", {})
        return PriceTable.model_validate({"about": about, "credits_an_hour": credits, "units": stated})
    except ValidationError as error:
        first = error.errors()[0]
        raise mistake(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
