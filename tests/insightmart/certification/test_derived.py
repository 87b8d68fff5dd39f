"""What is certified follows from the models: a new one appears without being listed anywhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from insightmart.certification.datasets import Dataset, Part, catalogue
from insightmart.certification.derived import AREAS, AreaName, catalogue_of, read_areas
from insightmart.errors import ConfigurationError
from insightmart.settings import PROJECT
from insightmart.transform.model_graph import restated_by
from tests.support.built_homes import new_home

if TYPE_CHECKING:
    from sqlmesh import Context

FILES = ("models", "macros", "signals", "audits", "soda", "linter", "config.yaml", "external_models.yaml")

ADDED = {
    "staging/_stores_closings.sql": """
MODEL (
  name staging._stores_closings,
  kind INCREMENTAL_BY_TIME_RANGE (time_column event_at),
  description 'Closings.',
  tags (takings, stores),
  signals (source_covered(entities := 'stores.tills'))
);
SELECT _loaded_at::TIMESTAMP_NTZ AS event_at, net_sales::DECIMAL(18, 4) AS net_sales FROM raw.stores_tills
WHERE _loaded_at BETWEEN @start_ts AND @end_ts
""",
    "core/takings.sql": """
MODEL (
  name core.takings,
  kind INCREMENTAL_BY_TIME_RANGE (time_column event_at),
  description 'Takings.',
  tags (takings)
);
SELECT event_at::TIMESTAMP_NTZ AS event_at, net_sales::DECIMAL(18, 4) AS net_sales FROM staging._stores_closings
WHERE event_at BETWEEN @start_ts AND @end_ts
""",
    "gate/takings.py": """
from sqlmesh import model
from sqlmesh.core.model.kind import ModelKindName

@model(
    "gate.takings",
    kind={"name": ModelKindName.INCREMENTAL_BY_TIME_RANGE, "time_column": "window_start"},
    tags=["takings"],
    depends_on=["core.takings"],
    columns={"window_start": "timestamp_ntz"},
)
def execute(context, start, end, execution_time, **kwargs):
    raise NotImplementedError
""",
    "certified/takings.sql": """
MODEL (
  name certified.takings,
  kind FULL,
  depends_on (gate.takings),
  description 'Takings of a store; one row is one closing.',
  tags (takings)
);
SELECT event_at::TIMESTAMP_NTZ AS event_at /* When */ FROM core.takings
""",
    "certified/agg_orders_by_store.sql": """
MODEL (
  name certified.agg_orders_by_store,
  kind VIEW,
  description 'Orders by store.',
  tags (sales)
);
SELECT store_id::INT AS store_id /* Store */ FROM certified.fct_orders
""",
}


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """A copy of the project with a table more in an area, and an area more."""
    from sqlmesh import Context

    directory = tmp_path_factory.mktemp("project")
    for name in FILES:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, directory / name)
    for name, text in ADDED.items():
        (directory / "models" / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("INSIGHTMART_GATEWAY", raising=False)
        patch.setenv("INSIGHTMART_HOME", str(new_home(tmp_path_factory, tmp_path_factory.mktemp("home"))))
        context = Context(paths=str(directory))
        yield context
        context.close()


def test_a_new_table_stands_beside_those_of_its_area_with_the_gates_it_passes(grown: Context) -> None:
    found = catalogue_of(grown, read_areas(PROJECT / AREAS))
    new = Dataset("agg_orders_by_store", "Orders by store", ("sales__oltp", "sales__shopify"))
    takings = Dataset("takings", "Takings of a store", ("takings",))
    known = catalogue().datasets
    assert found.datasets == (*sorted([*known[:6], new], key=lambda item: item.table), *known[6:], takings)


def test_a_new_area_comes_last_and_knows_its_source_its_corrections_and_its_models(grown: Context) -> None:
    found = catalogue_of(grown, read_areas(PROJECT / AREAS)).parts[-1]
    models = ("certified.takings", "core.takings", "gate.takings", "staging._stores_closings")
    assert found == Part("Takings", "", "takings", ("stores.tills",), ("stores", "takings"), models)
    assert restated_by(grown)["stores", "takings"] == ("staging._stores_closings",)
    named = catalogue_of(grown, {"takings": AreaName("Money in the till"), **read_areas(PROJECT / AREAS)})
    assert [part.name for part in named.parts][:2] == ["money in the till", "sales (store and phone)"]


def test_a_correction_of_each_source_restates_its_own_staging_models(grown: Context) -> None:
    expected = {
        ("oltp", "sales"): {"staging._oltp_order_headers", "staging._oltp_order_lines", "staging._oltp_refunds"},
        ("shopify", "sales"): {"staging._shopify_order_headers", "staging._shopify_sales"},
        ("shopify", "inventory"): {"staging._shopify_inventory"},
        ("stores", "inventory"): {"staging._stores_inventory"},
        ("stores", "takings"): {"staging._stores_closings"},
    }
    assert {kind: set(models) for kind, models in restated_by(grown).items()} == expected


def waited_for_above(project: Context, gate: str) -> set[str]:
    """The models that a gate waits for: what is read through a view holds nothing back."""
    found: set[str] = set()
    for parent in project.models[gate].depends_on or ():
        if not project.models[parent].kind.is_view:
            found |= {parent} | waited_for_above(project, parent)
    return found


def test_a_gate_waits_for_the_sources_that_the_signals_above_it_wait_for(grown: Context) -> None:
    for part in catalogue_of(grown, {}).parts:
        gate = f'"INSIGHTMART"."GATE"."{part.gate.upper()}"'
        waited_for = {
            entity
            for name in waited_for_above(grown, gate)
            for signal, arguments in grown.models[name].signals
            if signal == "source_covered"
            for entity in arguments["entities"].name.split()
        }
        assert waited_for == (set(part.inputs) if part.corrected_by else set())


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("sales: [", "areas.yml: while parsing"),
        ("- sales", "areas.yml: not a mapping of mappings"),
        ("sales: {sources: {}}", "areas.yml: sales has a title"),
        ("sales: {title: Sales, colour: red}", "areas.yml: sales has a title"),
    ],
)
def test_a_faulty_name_of_an_area_is_refused_with_its_place(tmp_path: Path, text: str, cause: str) -> None:
    (tmp_path / "areas.yml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=cause):
        read_areas(tmp_path / "areas.yml")
