"""What an estimate stands on (measured.yml): what is asked for, what benches measured, what nobody has measured yet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from insightmart.definitions.files import mistake, read_mapping

MEASURED = Path(__file__).with_name("measured.yml")

End = Literal["low", "value", "high"]


class Measurement(BaseModel):
    """A figure with its source.

    Attributes:
        value: what is likely.
        low: the end that costs less; only of what is assumed.
        high: the end that costs more.
        unit: of what.
        kind: how far it can be trusted, as measured.yml says.
        source: where it comes from.
        dated: when it was measured.
        replaced_by: what will tell it, of what is assumed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float = Field(ge=0)
    low: float | None = Field(None, ge=0)
    high: float | None = Field(None, ge=0)
    unit: str
    kind: Literal["design", "measured", "template", "assumed"]
    source: str = Field(alias="from")
    dated: date | None = None
    replaced_by: str = ""

    @model_validator(mode="after")
    def _says_how_sure_it_is(self) -> Measurement:
        has_ends = self.low is not None and self.high is not None
        if (self.kind == "assumed") != bool(has_ends and self.replaced_by):
            raise ValueError("what is assumed, and nothing else, has low, high and replaced_by")
        if (self.kind == "measured") != (self.dated is not None):
            raise ValueError("what was measured, and nothing else, says when")
        return self

    def at(self, end: End) -> float:
        """The figure at an end of its range; without one it is what it is."""
        found: float | None = getattr(self, end)
        return self.value if found is None else found


def read_measurements(path: Path = MEASURED) -> Mapping[str, Measurement]:
    """The measurements in a file.

    Raises:
        ConfigurationError: it cannot be read, or one does not say where it comes from; the message names the place.
    """
    try:
        return TypeAdapter(dict[str, Measurement]).validate_python(read_mapping(path))
    except ValidationError as error:
        first = error.errors()[0]
        cause = first["msg"].removeprefix("Value error, ")
        raise mistake(path, f"{'.'.join(map(str, first['loc']))}: {cause}") from None


def figures(measured: Mapping[str, Measurement], end: End = "value") -> dict[str, float]:
    """Every figure at the same end of its range."""
    return {name: one.at(end) for name, one in measured.items()}
