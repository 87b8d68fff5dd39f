"""What events say of a dataset: its columns, its owner, its meaning, and how its columns come about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    data_quality_assertions_dataset,
    datasource_dataset,
    documentation_dataset,
    output_statistics_output_dataset,
    ownership_dataset,
    schema_dataset,
)

from insightmart.lineage.column_graph import SOURCE, ColumnGraph, ColumnLink, TableFacts, table_of
from insightmart.lineage.source_fields import source_fields
from insightmart.openlineage.dataset_names import DatasetNames

Assertion = data_quality_assertions_dataset.Assertion


class Datasets:
    """Datasets of events, with what the graph of columns knows of them; of a table that it does not know, the name."""

    def __init__(self, names: DatasetNames, graph: ColumnGraph) -> None:
        self._names, self._graph = names, graph

    def sources_of(self, table: str) -> list[str]:
        """The objects of sources that a table of raw is loaded from."""
        prefix = f"{table}."
        return sorted(
            {table_of(one) for name, fields in source_fields().items() if name.startswith(prefix) for one in fields}
        )

    def read(self, table: str, assertions: Sequence[Assertion] = ()) -> InputDataset:
        """A table that is read, with what was asserted of it meanwhile."""
        name = self._names.of_table(table)
        asserted = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions=list(assertions))
        return InputDataset(
            name.namespace,
            name.name,
            facets=self._facets(table),
            inputFacets={"dataQualityAssertions": asserted} if assertions else {},
        )

    def written(self, table: str, rows: int | None = None) -> OutputDataset:
        """A table that is written, with how many rows, if that is known, and the lineage of its columns."""
        name = self._names.of_table(table)
        counted = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=rows)
        return OutputDataset(
            name.namespace,
            name.name,
            facets={**self._facets(table), **self._column_lineage(table)},
            outputFacets={} if rows is None else {"outputStatistics": counted},
        )

    def _facets(self, table: str) -> dict[str, Any]:
        name = self._names.of_table(table)
        facets: dict[str, Any] = {
            "dataSource": datasource_dataset.DatasourceDatasetFacet(name.namespace, name.namespace)
        }
        known = self._graph.tables.get(table)
        if known is None:
            return facets
        if known.columns:
            facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=self._fields(table, known))
        if known.meaning:
            facets["documentation"] = documentation_dataset.DocumentationDatasetFacet(known.meaning)
        if known.owner:
            owner = ownership_dataset.Owner(name=f"team:{known.owner}", type="OWNER")
            facets["ownership"] = ownership_dataset.OwnershipDatasetFacet(owners=[owner])
        return facets

    def _fields(self, table: str, known: TableFacts) -> list[schema_dataset.SchemaDatasetFacetFields]:
        return [
            schema_dataset.SchemaDatasetFacetFields(
                name=column if known.kind == SOURCE else column.upper(),
                type=facts.type or None,
                description=facts.meaning or None,
                ordinal_position=place,
            )
            for place, (column, facts) in enumerate(known.columns.items(), 1)
        ]

    def _column_lineage(self, table: str) -> Mapping[str, Any]:
        known = self._graph.tables.get(table)
        if known is None:
            return {}
        fields = {
            self._names.of_column(f"{table}.{column}")[1]: column_lineage_dataset.Fields(
                inputFields=self._inputs(links)
            )
            for column in known.columns
            if (links := self._graph.above.get(f"{table}.{column}"))
        }
        deciding = self._inputs(self._graph.above.get(table, ()))
        if not (fields or deciding):
            return {}
        return {"columnLineage": column_lineage_dataset.ColumnLineageDatasetFacet(fields=fields, dataset=deciding)}

    def _inputs(self, links: Iterable[ColumnLink]) -> list[column_lineage_dataset.InputField]:
        found = []
        for link in links:
            dataset, column = self._names.of_column(link.source)
            uses = [
                column_lineage_dataset.Transformation(use.type, use.subtype, masking=use.masking) for use in link.uses
            ]
            found.append(column_lineage_dataset.InputField(dataset.namespace, dataset.name, column, uses))
        return found
