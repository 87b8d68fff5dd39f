"""The subjects as data sources for Tableau, live on Snowflake: docs/tableau/SUBJECT.tds.

A source is a star of one fact table and its dimensions. Everything in it is said elsewhere: by the models,
subjects.yml, columns.yml and metrics.yml. Account, user and password are left to whoever opens it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from sqlglot import exp, parse_one

from ingestion.warehouse import DATABASE
from insightmart.definitions.columns import Meanings
from insightmart.definitions.files import SUBJECTS, mistake
from insightmart.definitions.metrics import Ratio
from insightmart.definitions.reader_grants import ROLE
from insightmart.definitions.subjects import Dimension, Subject, SubjectField, fields_of, ratios_of, unknown_columns
from insightmart.settings import Settings
from insightmart.transform.model_graph import layer, own_models

if TYPE_CHECKING:
    from sqlmesh import Context

SOURCES = Path("docs/tableau")
# What each source says in place of what only an installation knows (docs/tableau.md).
ACCOUNT, WAREHOUSE = "ACCOUNT.snowflakecomputing.com", "INSIGHTMART_REPORT"

_CONNECTION = "snowflake.insightmart"
_VERSION = "18.1"  # of the format; Tableau 2018.1 and everything since reads it
_USER = "http://www.tableausoftware.com/xml/user"

# A type of a column: what Tableau calls it, and what ODBC does.
_TYPES = {"string": "129", "integer": "20", "real": "131", "date": "7", "datetime": "135", "boolean": "11"}
_PLACES = {"country": "[Country].[ISO3166_2]", "state": "[State].[Name]", "city": "[City].[Name]"}
_INTEGER = "n#,##0;-#,##0"
_FORMATS = {"share": "p0.0%", "pieces an order": "n#,##0.00;-#,##0.00"}
_AVERAGED = ("unit_price", "unit_cost", "list_price")  # of one piece: their sum means nothing


def tableau_sources(
    context: Context, meanings: Meanings, subjects: Sequence[Subject], project: Path
) -> dict[Path, str]:
    """The data source of each subject, by the path of its file.

    Args:
        context: the project's models, for the types of columns.
        meanings: captions and descriptions.
        subjects: what there is to analyse.
        project: the folder of the project.

    Raises:
        ConfigurationError: a subject speaks of a column that does not exist.
    """
    types = {
        name.removeprefix("certified."): {
            column.lower(): _datatype(kind) for column, kind in (model.columns_to_types or {}).items()
        }
        for name, model in own_models(context).items()
        if layer(model) == "certified"
    }
    if unknown := unknown_columns(subjects, [f"{table}.{column}" for table in types for column in types[table]]):
        raise mistake(project / SUBJECTS, f"certified has no column {unknown[0]}")
    return {
        project / SOURCES / f"{one.name}.tds": _written(_Source(one, types, meanings).element()) for one in subjects
    }


def _datatype(kind: exp.DataType) -> str:
    if kind.this in exp.DataType.INTEGER_TYPES:
        return "integer"
    if kind.this is exp.DType.DECIMAL:
        return "real"
    if kind.this in exp.DataType.TEXT_TYPES:
        return "string"
    return {exp.DType.DATE: "date", exp.DType.BOOLEAN: "boolean"}.get(kind.this, "datetime")


class _Source:
    """One data source, put together element by element in the order that Tableau writes them."""

    def __init__(self, subject: Subject, types: Mapping[str, Mapping[str, str]], meanings: Meanings) -> None:
        self.subject = subject
        self.types = types
        self.fields = fields_of(subject, types, meanings)
        self.ratios = ratios_of(subject, meanings)
        self.units = {column: metric.unit for metric in meanings.metrics for column in metric.columns}
        shared = [field.column for field in self.fields]
        self.names = {
            (field.table, field.column): field.column.upper()
            if field.table == subject.table or shared.count(field.column) == 1
            else f"{field.column} ({field.table})".upper()
            for field in self.fields
        }

    def element(self) -> ET.Element:
        attributes = {"formatted-name": f"federated.insightmart_{self.subject.name}", "inline": "true"}
        source = ET.Element("datasource", {**attributes, "version": _VERSION, "xmlns:user": _USER})
        source.append(self._connection())
        ET.SubElement(source, "aliases", {"enabled": "yes"})
        for field in self.fields:
            source.append(self._column(field))
        for ratio in self.ratios:
            source.append(self._calculation(ratio))
        drills = ET.SubElement(source, "drill-paths")
        for dimension, levels in self._drills():
            path = ET.SubElement(drills, "drill-path", {"name": dimension.title})
            for level in levels:
                ET.SubElement(path, "field").text = f"[{level}]"
        source.append(self._folders())
        layout = {"dim-ordering": "alphabetic", "measure-ordering": "alphabetic", "show-structure": "true"}
        ET.SubElement(source, "layout", layout)
        return source

    def _connection(self) -> ET.Element:
        federated = ET.Element("connection", {"class": "federated"})
        named = ET.SubElement(federated, "named-connections")
        named = ET.SubElement(named, "named-connection", {"caption": ACCOUNT, "name": _CONNECTION})
        place = {"dbname": DATABASE, "schema": "CERTIFIED", "server": ACCOUNT, "service": ROLE, "warehouse": WAREHOUSE}
        ET.SubElement(
            named, "connection", {"authentication": "Username Password", "class": "snowflake", **place, "username": ""}
        )
        federated.append(self._relation())
        columns = ET.SubElement(federated, "cols")
        records = ET.SubElement(federated, "metadata-records")
        for ordinal, field in enumerate(self.fields, 1):
            name = self.names[field.table, field.column]
            value = f"[{field.table.upper()}].[{field.column.upper()}]"
            ET.SubElement(columns, "map", {"key": f"[{name}]", "value": value})
            records.append(self._record(field, name, ordinal))
        return federated

    def _record(self, field: SubjectField, name: str, ordinal: int) -> ET.Element:
        kind = self.types[field.table][field.column]
        record = ET.Element("metadata-record", {"class": "column"})
        for tag, text in (
            ("remote-name", field.column.upper()),
            ("remote-type", _TYPES[kind]),
            ("local-name", f"[{name}]"),
            ("parent-name", f"[{field.table.upper()}]"),
            ("remote-alias", field.column.upper()),
            ("ordinal", str(ordinal)),
            ("local-type", kind),
            ("aggregation", "Sum" if self._is_measure(field) else "Count" if kind == "string" else "Year"),
            ("contains-null", "true"),
        ):
            ET.SubElement(record, tag).text = text
        return record

    def _relation(self) -> ET.Element:
        """The fact table joined with each of its dimensions; every row of it stays, and stays one."""
        relation = self._rows(self.subject.table, self.subject.whole)
        for dimension, column in self.subject.joined:
            joined = ET.Element("relation", {"join": "left", "type": "join"})
            clause = ET.SubElement(ET.SubElement(joined, "clause", {"type": "join"}), "expression", {"op": "="})
            for table, key in ((self.subject.table, column), (dimension.table, dimension.key)):
                ET.SubElement(clause, "expression", {"op": f"[{table.upper()}].[{key.upper()}]"})
            joined.append(relation)
            joined.append(self._rows(dimension.table, dimension))
            relation = joined
        return relation

    def _rows(self, table: str, dimension: Dimension | None) -> ET.Element:
        name = table.upper()
        if dimension is None or not dimension.rows:
            attributes = {"name": name, "table": f"[CERTIFIED].[{name}]", "type": "table"}
            return ET.Element("relation", {"connection": _CONNECTION, **attributes})
        relation = ET.Element("relation", {"connection": _CONNECTION, "name": name, "type": "text"})
        columns = ", ".join(column.upper() for column in self.types[table])
        relation.text = f"SELECT {columns} FROM {DATABASE}.CERTIFIED.{name} WHERE {dimension.rows.upper()}"
        return relation

    def _column(self, field: SubjectField) -> ET.Element:
        kind = self.types[field.table][field.column]
        attributes = {"caption": field.caption, "datatype": kind}
        if self._is_measure(field):
            attributes |= {"aggregation": "Avg" if field.column in _AVERAGED else "Sum"}
            attributes |= {"default-format": _INTEGER if kind == "integer" else _money()}
            attributes |= {"role": "measure", "type": "quantitative"}
        else:
            attributes |= {
                "role": "dimension",
                "type": "ordinal" if kind in ("date", "datetime", "integer") else "nominal",
            }
        if field.is_hidden:
            attributes["hidden"] = "true"
        if field.column in _PLACES and not field.is_hidden:
            attributes["semantic-role"] = _PLACES[field.column]
        name = {"name": f"[{self.names[field.table, field.column]}]"}
        return _described(ET.Element("column", dict(sorted((attributes | name).items()))), field.meaning)

    def _calculation(self, ratio: Ratio) -> ET.Element:
        attributes = {
            "caption": ratio.title,
            "datatype": "real",
            "default-format": _FORMATS.get(ratio.unit) or _money(),
            "name": f"[{ratio.name}]",
            "role": "measure",
            "type": "quantitative",
        }
        column = ET.Element("column", attributes)
        ET.SubElement(column, "calculation", {"class": "tableau", "formula": self._formula(ratio)})
        return _described(column, f"{ratio.meaning}. {' '.join(ratio.caveats)}")

    def _formula(self, ratio: Ratio) -> str:
        """The ratio in Tableau's words: columns in brackets, nothing where there is nothing to divide by."""
        parts = [
            parse_one(part).transform(
                lambda node: exp.Var(this=f"[{node.name.upper()}]") if isinstance(node, exp.Column) else node
            )
            for part in (ratio.numerator, ratio.denominator)
        ]
        numerator, denominator = (part.sql() for part in parts)
        return f"IF ({denominator}) <> 0 THEN ({numerator}) / ({denominator}) END"

    def _is_measure(self, field: SubjectField) -> bool:
        """Whether a column is added up: a number that is neither an id, a place in time nor part of what a row is."""
        kind = self.types[field.table][field.column]
        if kind == "real":
            return True
        is_counted = field.column in ("quantity", "counted_hours") or field.column.endswith("_count")
        is_metric = f"{field.table}.{field.column}" in self.units or field.column.endswith("_last_year")
        is_figure = (
            field.table == self.subject.table
            and field.table.startswith("agg_")
            and field.column
            in (
                "orders",
                "units",
            )
        )
        return kind == "integer" and (is_counted or is_metric or is_figure)

    def _drills(self) -> Iterator[tuple[Dimension, list[str]]]:
        joined = [*self.subject.joined, *([(self.subject.whole, "")] if self.subject.whole else [])]
        for dimension, column in joined:
            yield (
                dimension,
                [
                    self.names[self.subject.table, column]
                    if level == dimension.key
                    else self.names[dimension.table, level]
                    for level in dimension.drill
                ],
            )

    def _folders(self) -> ET.Element:
        """Figures, ratios, what a row of the subject has, and each dimension; a drill path stands for its levels."""
        titles = {dimension.table: dimension.title for dimension, _ in self.subject.joined}
        drills = {dimension.title: levels for dimension, levels in self._drills()}
        drilled = {level for levels in drills.values() for level in levels}
        held: dict[str, list[tuple[str, str]]] = {"Figures": [], "Ratios": [], self.subject.title: []}
        for field in self.fields:
            name = self.names[field.table, field.column]
            if not field.is_hidden and name not in drilled:
                folder = "Figures" if self._is_measure(field) else titles.get(field.table, self.subject.title)
                held.setdefault(folder, []).append((f"[{name}]", "field"))
        held["Ratios"] += [(f"[{ratio.name}]", "field") for ratio in self.ratios]
        for title in drills:
            held.setdefault(title, []).append((title, "drillpath"))
        folders = ET.Element("folders-common")
        for title, items in held.items():
            if items:
                shown = ET.SubElement(folders, "folder", {"name": title})
                for name, kind in items:
                    ET.SubElement(shown, "folder-item", {"name": name, "type": kind})
        return folders


def _money() -> str:
    """Money with the code of the currency that a warehouse has unless it was set up with another one."""
    currency = Settings.model_fields["currency"].default
    return f'c"{currency} "#,##0.00;-"{currency} "#,##0.00'


def _described(column: ET.Element, text: str) -> ET.Element:
    ET.SubElement(ET.SubElement(ET.SubElement(column, "desc"), "formatted-text"), "run").text = text
    return column


def _written(source: ET.Element) -> str:
    ET.indent(source)
    return "<?xml version='1.0' encoding='utf-8' ?>\n\n" + ET.tostring(source, encoding="unicode") + "\n"
