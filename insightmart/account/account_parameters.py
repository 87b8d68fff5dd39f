"""What an installation says of its Snowflake account: deploy/snowflake/account.yml, or a copy of it."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ingestion.warehouse import DATABASE
from insightmart.costs.price_table import CREDIT, Size, read_prices
from insightmart.definitions.files import mistake, read_mapping

PARAMETERS = Path("deploy/snowflake/account.yml")

Percent = Annotated[int, Field(ge=0, le=100)]
Seconds = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
SchemaName = Annotated[str, Field(pattern=r"^(sqlmesh__)?[A-Z][A-Z0-9_]*$")]


class _Stated(BaseModel):
    """What stands in the file, and nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AccountBudget(_Stated):
    """What a month may cost.

    Attributes:
        usd_a_month: all of it.
        usd_a_credit: the price of a credit, by the contract or the table of prices.
        not_compute_percent: how much of it is left for what no monitor stops.
        notify_percent: at which parts of a quota somebody is told.
        notify_users: who beside the account's administrators.
    """

    usd_a_month: int = Field(gt=0)
    usd_a_credit: float = Field(gt=0)
    not_compute_percent: Percent
    notify_percent: tuple[Percent, ...]
    notify_users: tuple[Name, ...] = ()

    @property
    def credits(self) -> int:
        """Credits of a month for all warehouses together."""
        return int(self.usd_a_month * (100 - self.not_compute_percent) / 100 / self.usd_a_credit)


class AccountWarehouse(_Stated):
    """A virtual warehouse of one workload; ``share_percent`` is its part of the month's credits."""

    size: Size
    suspend_seconds: Seconds
    statement_seconds: Seconds
    share_percent: Percent
    comment: str


class AccountSchema(_Stated):
    """A schema; ``masked``: its texts are masked unless they are known to be nobody's."""

    keeps_days: int = Field(0, ge=0, le=90)
    transient: bool = False
    masked: bool = False
    comment: str

    @model_validator(mode="after")
    def _keeps_or_not(self) -> AccountSchema:
        if self.transient == bool(self.keeps_days):
            raise ValueError("a schema states keeps_days, or that it is transient")
        return self


class AccountNetwork(_Stated):
    """From where programs log in."""

    allowed: tuple[IPv4Network, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_narrow(self) -> AccountNetwork:
        if any(network.prefixlen < 8 for network in self.allowed):
            raise ValueError("a network of more than 2^24 addresses keeps nobody out")
        return self


class ServiceUser(_Stated):
    """A program that logs in with a key pair; ``public_key`` is PEM without header and line ends. ``also``: roles that
    it may take in place of its own, each one whose rights its own has."""

    role: Name
    also: tuple[Name, ...] = ()
    warehouse: Name
    comment: str
    public_key: str = Field("", pattern=r"^(MII[A-Za-z0-9+/]+=*)?$")
    public_key_2: str = Field("", pattern=r"^(MII[A-Za-z0-9+/]+=*)?$")


class MaskedColumns(_Stated):
    """Columns of a table of raw that are masked beside those that its contract calls personal."""

    columns: tuple[str, ...]


class AccountParameters(_Stated):
    """All of it, by name; names of the account begin with the database's."""

    budget: AccountBudget
    warehouses: Mapping[Name, AccountWarehouse]
    schemas: Mapping[SchemaName, AccountSchema]
    session: Mapping[Name, bool | int | str]
    network: AccountNetwork
    users: Mapping[Name, ServiceUser]
    masked_too: Mapping[Name, MaskedColumns]

    @model_validator(mode="after")
    def _adds_up(self) -> AccountParameters:
        if sum(warehouse.share_percent for warehouse in self.warehouses.values()) != 100:
            raise ValueError("the shares of the warehouses are not 100 percent together")
        for name, user in self.users.items():
            if user.warehouse not in self.warehouses:
                raise ValueError(f"user {name} has a warehouse {user.warehouse} that is not stated")
        return self

    @property
    def monitors(self) -> dict[str, int]:
        """Resource monitors with their credits of a month: one a warehouse, named as it, and one of the account."""
        quotas = {
            spelled(name): self.budget.credits * warehouse.share_percent // 100
            for name, warehouse in self.warehouses.items()
        }
        return {**quotas, spelled("ACCOUNT"): self.budget.credits}


def spelled(name: str) -> str:
    """A role, user, warehouse or monitor, as the account calls it."""
    return f"{DATABASE}_{name}"


def read_parameters(path: Path, contract: float = 0) -> AccountParameters:
    """The parameters in a file.

    Args:
        path: the file.
        contract: dollars a credit by the contract (SNOWFLAKE_CREDIT_USD), where the file does not say it; 0: those of
            the table of prices.

    Raises:
        ConfigurationError: it cannot be read, or states what cannot be, or another price than the contract; the message
            names the place.
    """
    stated = dict(read_mapping(path))
    if "budget" in stated:
        stated["budget"] = {"usd_a_credit": contract or read_prices().usd(CREDIT), **stated["budget"]}
    try:
        found = AccountParameters.model_validate(stated)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        cause = first["msg"].removeprefix("Value error, ")
        raise mistake(path, f"{place}: {cause}" if place else cause) from None
    if contract and found.budget.usd_a_credit != contract:
        said = f"budget.usd_a_credit is {found.budget.usd_a_credit:g}, and SNOWFLAKE_CREDIT_USD is {contract:g}"
        raise mistake(path, f"{said}: leave one of them out")
    return found
