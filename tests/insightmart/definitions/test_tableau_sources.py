"""The data sources for Tableau: every column is in them, and every name that they use exists."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from insightmart.definitions.columns import read_meanings
from insightmart.definitions.files import SUBJECTS
from insightmart.definitions.reader_grants import GRANTS, ROLE
from insightmart.definitions.subjects import Subject, read_subjects
from insightmart.definitions.tableau_sources import ACCOUNT, SOURCES, WAREHOUSE, tableau_sources
from insightmart.errors import ConfigurationError
from insightmart.settings import PROJECT
from insightmart.transform.model_graph import own_models
from tests.support.statements import unparsable

if TYPE_CHECKING:
    from sqlmesh import Context

STATED = read_subjects(PROJECT)


def source_of(subject: str) -> ET.Element:
    return ET.parse(PROJECT / SOURCES / f"{subject}.tds").getroot()


def named(source: ET.Element) -> dict[str, ET.Element]:
    """The fields of a source by their names."""
    return {column.get("name", ""): column for column in source.findall("column")}


def test_there_is_a_source_for_every_subject_and_no_other() -> None:
    assert {path.stem for path in (PROJECT / SOURCES).iterdir()} == {subject.name for subject in STATED}


@pytest.mark.parametrize("subject", STATED, ids=lambda subject: subject.name)
def test_every_column_of_every_model_is_a_field_with_caption_and_meaning(subject: Subject, files: Context) -> None:
    models = own_models(files)
    wanted = {
        f"[{table.upper()}].[{column.upper()}]"
        for table in subject.tables
        for column in models[f"certified.{table}"].columns_to_types or {}
    }
    source = source_of(subject.name)
    mapped = {one.get("value", ""): one.get("key", "") for one in source.iter("map")}
    assert mapped.keys() == wanted
    fields = named(source)
    assert set(mapped.values()) == {name for name, field in fields.items() if field.find("calculation") is None}
    captions = [field.get("caption", "") for field in fields.values()]
    assert all(captions)
    assert len(set(captions)) == len(captions)
    assert all((field.findtext("desc/formatted-text/run") or "").strip() for field in fields.values())


@pytest.mark.parametrize("subject", STATED, ids=lambda subject: subject.name)
def test_every_name_that_a_source_uses_is_one_of_its_own(subject: Subject) -> None:
    source = source_of(subject.name)
    fields, drills = named(source), {one.get("name") for one in source.iter("drill-path")}
    places = {one.get("value") for one in source.iter("map")}
    assert {one.get("op") for one in source.iter("expression")} - {"="} <= places
    assert {one.text for one in source.iter("local-name")} <= fields.keys()
    assert {one.text for one in source.iter("field")} <= fields.keys()
    for item in source.iter("folder-item"):
        assert item.get("name") in (drills if item.get("type") == "drillpath" else fields.keys())
    for calculation in source.iter("calculation"):
        assert set(re.findall(r"\[[^]]+\]", calculation.get("formula", ""))) <= fields.keys()
    shown = {name for name, field in fields.items() if field.get("hidden") != "true"}
    in_folders = {item.get("name") for item in source.iter("folder-item")} | {one.text for one in source.iter("field")}
    assert shown <= in_folders  # and no analyst has to look for a field outside of a folder
    assert not {one.text for one in source.iter("field")} - shown


def test_figures_have_formats_and_ratios_are_worked_out_of_sums() -> None:
    fields = named(source_of("sales"))
    assert fields["[NET_SALES]"].get("default-format") == 'c"USD "#,##0.00;-"USD "#,##0.00'
    assert fields["[ORDERS]"].get("default-format") == "n#,##0;-#,##0"
    assert fields["[return_rate]"].get("default-format") == "p0.0%"
    formula = fields["[average_order_value]"].find("calculation")
    assert formula is not None
    assert formula.get("formula") == (
        "IF (SUM([ORDERS])) <> 0 THEN (SUM([GROSS_SALES]) - SUM([DISCOUNTS])) / (SUM([ORDERS])) END"
    )
    assert fields["[STORE_ID]"].get("role") == "dimension"
    prices = named(source_of("orders"))
    assert prices["[UNIT_PRICE]"].get("aggregation") == "Avg"
    assert prices["[EMAIL_HASH]"].get("hidden") == "true"


def test_a_dimension_gives_a_row_at_most_to_each_row() -> None:
    stores = [one for one in source_of("sales").iter("relation") if one.get("name") == "DIM_STORES"]
    assert [one.get("type") for one in stores] == ["text"]
    assert (stores[0].text or "").endswith("FROM INSIGHTMART.CERTIFIED.DIM_STORES WHERE IS_CURRENT")
    assert [one.get("join") for one in source_of("sales").iter("relation") if one.get("type") == "join"] == ["left"] * 2


@pytest.mark.parametrize("subject", STATED, ids=lambda subject: subject.name)
def test_account_role_and_warehouse_are_placeholders_and_nobody_is_named(subject: Subject) -> None:
    (connection,) = source_of(subject.name).findall("connection/named-connections/named-connection/connection")
    assert connection.get("username") == ""
    assert connection.get("password") is None
    assert [connection.get(name) for name in ("server", "service", "warehouse")] == [ACCOUNT, ROLE, WAREHOUSE]
    page = (PROJECT / "docs" / "tableau.md").read_text(encoding="utf-8")
    assert all(f"`{placeholder}`" in page for placeholder in (ACCOUNT, ROLE, WAREHOUSE))


def test_readers_may_read_every_certified_table_and_no_part_of_one(files: Context, pytestconfig: pytest.Config) -> None:
    text = (PROJECT / GRANTS).read_text(encoding="utf-8")
    granted = re.findall(r"^GRANT SELECT ON VIEW INSIGHTMART\.(\S+) TO ROLE INSIGHTMART_REPORTER;$", text, re.MULTILINE)
    tables = {name for name in own_models(files) if name.startswith("certified.")}
    assert {name.lower() for name in granted} == {name for name in tables if "__" not in name}
    assert any("__" in name for name in tables)
    statements = [one.strip() for one in re.sub(r"^--.*$", "", text, flags=re.MULTILINE).split(";") if one.strip()]
    assert unparsable(dict.fromkeys(statements, "readers.sql"), pytestconfig.cache) == {}


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("    title: Sales\n", "", "sales states table, title, with, and nothing else"),
        ("with: {dim_stores: store_id, dim_dates: business_date}", "with: {dim_weather: day}", "no dimension"),
        ("technical:\n", "other: {}\n\ntechnical:\n", "it has subjects, dimensions and technical, and nothing else"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, old: str, new: str, cause: str) -> None:
    text = (PROJECT / SUBJECTS).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / SUBJECTS).parent.mkdir(parents=True)
    (tmp_path / SUBJECTS).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=cause):
        read_subjects(tmp_path)


def test_a_column_that_no_model_has_is_named(files: Context) -> None:
    (sales, *_) = STATED
    odd = replace(sales, joined=((sales.joined[0][0], "shop_id"),))
    with pytest.raises(ConfigurationError, match=r"subjects\.yml: certified has no column agg_sales_daily\.shop_id"):
        tableau_sources(files, read_meanings(PROJECT), [odd], PROJECT)
