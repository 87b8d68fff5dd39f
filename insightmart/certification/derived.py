"""What is certified, read off the graph of the models; `make docs` writes it to datasets.yml for all who only read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ingestion.contracts import ENTITIES
from insightmart.certification.datasets import Catalogue, Dataset, Part
from insightmart.definitions.files import mistake, read_mapping
from insightmart.errors import ConfigurationError
from insightmart.transform.model_graph import Kind, entities_read, layer, own_models, restated_by, short_name

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.model import Model

AREAS = Path("models/certified/areas.yml")  # both relative to the project, because SQLMesh may load a copy of it
DATASETS = Path("insightmart/certification/datasets.yml")

_HEADER = """\
# Written by `make docs`, which reads it off the models and the names in models/certified/areas.yml; not to be edited.
"""


@dataclass(frozen=True)
class AreaName:
    """How people call a subject area, and its parts by source."""

    title: str
    sources: Mapping[str, str] = field(default_factory=dict)


def read_areas(path: Path) -> dict[str, AreaName]:
    """The areas that have a name, in the order they are shown.

    Raises:
        ConfigurationError: the file is no YAML, or an area lacks or misspells something.
    """
    stated = read_mapping(path)
    for area, names in stated.items():
        if not {"title"} <= names.keys() <= {"title", "sources"}:
            raise mistake(path, f"{area} has a title, and sources at most")
    return {area: AreaName(**names) for area, names in stated.items()}


def catalogue_of(context: Context, areas: Mapping[str, AreaName]) -> Catalogue:
    """Everything that is certified in a project.

    A gate publishes a part of the area whose tag it carries. A table is certified by the gates nearest above it; a
    model ``TABLE__SOURCE`` is a part of its table. An area that has no name is shown last, under its tag.

    Raises:
        ConfigurationError: a gate carries no tag, or a certified table passes no gate.
    """
    models = own_models(context)
    gates = {name: _area(name, model) for name, model in models.items() if layer(model) == "gate" and model.is_python}
    ranks = {area: rank for rank, area in enumerate(dict.fromkeys([*areas, *sorted(gates.values())]))}
    found = []
    for gate, area in gates.items():
        name = areas.get(area, AreaName(area.capitalize()))
        inputs, source = _inputs(context, models, gate, area)
        is_only_one = list(gates.values()).count(area) == 1
        part = Part(
            area=name.title,
            label="" if is_only_one else name.sources.get(source, source),
            gate=gate.removeprefix("gate."),
            inputs=inputs,
            corrected_by=_corrected_by(context, models, gate, area),
            models=_models(context, models, gate, area),
        )
        found.append((ranks[area], list(dict.fromkeys([*name.sources, source])).index(source), part.gate, part))
    parts = tuple(part for *_, part in sorted(found, key=lambda item: item[:3]))
    return Catalogue(parts, _datasets(context, models, parts))


def _area(gate: str, model: Model) -> str:
    if not model.tags:
        raise ConfigurationError(f"{gate} carries no tag: of which area is it?", "Give it the tag of its area")
    return model.tags[0]


def _upstream(context: Context, models: Mapping[str, Model], name: str, area: str) -> set[str]:
    """The models above a gate, but for what another area only collects its members from: nobody waits for that."""
    found: set[str] = set()
    above = [models[name].fqn]
    while above:
        model = context.get_model(above.pop(), raise_if_missing=True)
        if model.disable_restatement and area not in model.tags and not model.kind.is_external:
            continue
        new = {fqn for fqn in model.depends_on or () if short_name(fqn) not in found}
        found |= {short_name(fqn) for fqn in new}
        above += sorted(new)
    return found


def _inputs(context: Context, models: Mapping[str, Model], gate: str, area: str) -> tuple[tuple[str, ...], str]:
    """The watermarks that the area's staging models above a gate stand on, and the first one's source."""
    above = _upstream(context, models, gate, area)
    read = {
        item
        for name in above & models.keys()
        if layer(models[name]) == "staging" and area in models[name].tags
        for item in entities_read(models[name])
        if item.watermarked
    }
    inputs = [item for item in ENTITIES if item in read]
    return tuple(f"{item.source}.{item.name}" for item in inputs), inputs[0].source if inputs else ""


def _corrected_by(context: Context, models: Mapping[str, Model], gate: str, area: str) -> Kind | None:
    above = _upstream(context, models, gate, area)
    kinds = [kind for kind, restated in restated_by(context).items() if kind[1] == area and above.issuperset(restated)]
    return kinds[0] if kinds else None


def _models(context: Context, models: Mapping[str, Model], gate: str, area: str) -> tuple[str, ...]:
    """The models of the area that the gate stands on, the gate, and those that it publishes."""
    below = {short_name(name) for name in context.dag.downstream(models[gate].fqn)}
    near = {*_upstream(context, models, gate, area), gate, *below}
    return tuple(sorted(name for name in near & models.keys() if area in models[name].tags))


def _datasets(context: Context, models: Mapping[str, Model], parts: Sequence[Part]) -> tuple[Dataset, ...]:
    """The certified tables, area by area."""
    found = []
    for name, model in models.items():
        table = name.removeprefix("certified.")
        if layer(model) != "certified" or "__" in table or _is_record(model):
            continue
        above = _gates_above(model, models)
        passed = [place for place, part in enumerate(parts) if part.gate in above]
        if not passed:
            raise ConfigurationError(
                f"{name} passes no gate", "Let it depend on the gate of its area: depends_on (gate.AREA)"
            )
        gates = tuple(parts[place].gate for place in passed)
        found.append((passed[0], table, Dataset(table, _clause(model.description or ""), gates)))
    areas = [part.area for part in parts]
    return tuple(item for *_, item in sorted(found, key=lambda found: (areas.index(parts[found[0]].area), found[1])))


def _is_record(model: Model) -> bool:
    """Whether a model shows what the pipeline itself has noted, which no gate can judge."""
    above = {short_name(name).split(".")[0] for name in model.depends_on or ()}
    return above == {"ops"}


def _gates_above(model: Model, models: Mapping[str, Model]) -> set[str]:
    """The gates nearest above a model, by their names in the schema ``gate``."""
    found: set[str] = set()
    for name in {short_name(above) for above in model.depends_on or ()} & models.keys():
        if layer(models[name]) == "gate":
            found.add(name.removeprefix("gate."))
        elif layer(models[name]) == "certified":
            found |= _gates_above(models[name], models)
    return found


def _clause(description: str) -> str:
    """The first clause of a model's description: what it holds, in short."""
    end = re.search(r"[.:;](\s|$)", description)
    return description[: end.start()] if end else description


def written(catalogue: Catalogue) -> str:
    """The text of datasets.yml."""
    text: str = yaml.safe_dump(
        {
            "parts": [_plain(part) for part in catalogue.parts],
            "datasets": [_plain(dataset) for dataset in catalogue.datasets],
        },
        sort_keys=False,
        default_flow_style=None,
        allow_unicode=True,
        width=110,
    )
    return _HEADER + text


def _plain(item: Part | Dataset) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(item).items()}
