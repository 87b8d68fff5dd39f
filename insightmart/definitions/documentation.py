"""`make docs`: pages, data contracts, column comments and the list of what is certified, written from the definitions
and the models, so that each thing is said in one place.

``python -m insightmart.definitions.documentation`` writes what is out of date and names it; a test fails while
anything is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import ingestion  # noqa: F401  keeps SQLMesh from calling home; before it is imported
from insightmart.certification.derived import AREAS, DATASETS, catalogue_of, read_areas, written
from insightmart.definitions.columns import Meanings, read_meanings
from insightmart.definitions.data_contracts import data_contracts
from insightmart.definitions.files import COLUMNS, METRICS, RULES, mistake
from insightmart.definitions.metrics import Metric, Ratio, read_metrics
from insightmart.definitions.projections import columns_of, commented, copied, schema_checks, united
from insightmart.definitions.reader_grants import GRANTS, reader_grants
from insightmart.definitions.rules import Rule, read_rules
from insightmart.definitions.subjects import read_subjects
from insightmart.definitions.tableau_sources import tableau_sources
from insightmart.errors import DONE, ConfigurationError
from insightmart.lineage.column_graph import column_graph
from insightmart.lineage.origins import origins
from insightmart.settings import PROJECT

if TYPE_CHECKING:
    from sqlmesh import Context

# table.column of certified -> the columns of raw that its values are made of
Origins = Mapping[str, Sequence[str]]

ROUNDS = 5  # a column goes from core through parts and views to pages and checks: fewer rounds than this

_RULES_INTRODUCTION = """\
# Row rules

Written by `make docs` from [rules.yml](../models/staging/rules.yml), which is where a rule is changed. The table
`ops.rules` holds the same.

A row that fulfils a condition below is in quarantine, with the ids of all the rules it breaks in `rule_ids` and
`reasons`, and in no figure. `insightmart quarantine list` counts such rows, `insightmart quarantine show ENTITY` shows
them. A row leaves by itself: when its source is mended, the next cycle loads the new version; when a rule is changed,
`sqlmesh plan` rebuilds the entities whose conditions changed and everything below them.

Conditions are SQL over the columns of `staging._ENTITY`; one that is NULL fails nothing. Rules without a condition are
checked while loading: what cannot be typed stays in `raw.rejects`, with the text that the source sent.
"""


_METRICS_INTRODUCTION = """\
# Metrics

Written by `make docs` from [metrics.yml](../models/certified/metrics.yml) and
[columns.yml](../models/certified/columns.yml), which is where a definition is changed. The same words are the comments
of the columns in the warehouse and the definitions on the status page. What a figure comes from is read off the models:
columns of `raw`, as the sources sent them.

All money is in the company's currency and exact: up to four decimals, never rounded before a page shows it. Orders that
are cancelled or tests count nowhere. Rows in quarantine ([rules.md](rules.md)) are in no figure until their source is
mended. How a figure comes about, and where an order is that is missing from it: [models.md](models.md).
"""


_RATIOS_INTRODUCTION = """\
## Ratios

Ratios stand in no column: one of stores or days is not the average of theirs. The formula gives the ratio of whatever
the question is grouped by, on both engines; the data sources for Tableau
([tableau.md](tableau.md)) have it as a field.

```
insightmart sql "
  SELECT channel, (SUM(gross_sales) - SUM(discounts)) / NULLIF(SUM(orders), 0) AS average_order_value
  FROM certified.agg_sales_daily GROUP BY channel"
```
"""


def generated(sources: Origins, project: Path = PROJECT) -> dict[Path, str]:
    """What the generated files have to say, by path; ``sources`` is where the columns of certified come from.

    Raises:
        ConfigurationError: a file of definitions cannot be read, or speaks of a column that does not exist.
    """
    meanings = read_meanings(project)
    models = _models(project, meanings)
    columns = {path.stem: columns_of(sql) for path, sql in models.items()}
    existing = [f"{table}.{column}" for table, listed in columns.items() for column in listed]
    for file, unknown in (
        (METRICS, meanings.metrics_of_no_column(existing)),
        (COLUMNS, meanings.of_no_column(existing)),
    ):
        if unknown:
            raise mistake(project / file, f"certified has no column {unknown[0]}")
    return {
        project / GRANTS: reader_grants(columns),
        project / "docs" / "rules.md": rules_page(read_rules(project / RULES)),
        project / "docs" / "metrics.md": metrics_page(
            meanings, {path.stem: sql for path, sql in models.items()}, sources
        ),
        **models,
        **_candidates(project, meanings),
        **{
            path: schema_checks(path.read_text(encoding="utf-8"), columns)
            for path in sorted((project / "soda" / "checks").glob("*.yml"))
        },
    }


def _models(project: Path, meanings: Meanings) -> dict[Path, str]:
    """The models of certified with the columns of their candidates and the meaning of each."""
    certified = project / "models" / "certified"
    models = {path: path.read_text(encoding="utf-8") for path in sorted(certified.glob("*.sql"))}
    for path in models:
        candidate = project / "models" / "core" / path.name
        if candidate.exists():
            models[path] = copied(models[path], candidate.read_text(encoding="utf-8"))
    for path in models:
        part = path.with_name(f"{path.stem}__source.sql")
        if part in models and "\nUNION ALL\nSELECT\n" in models[path]:  # one that adds parts up says how
            models[path] = united(models[path], models[part])
    return {path: commented(sql, path.stem, meanings) for path, sql in models.items()}


def _candidates(project: Path, meanings: Meanings) -> dict[Path, str]:
    """The candidates in core with the meaning of each column: whoever looks for a fault reads these."""
    core = sorted((project / "models" / "core").glob("[!_]*.sql"))
    return {path: commented(path.read_text(encoding="utf-8"), path.stem, meanings) for path in core}


def outdated(context: Context, project: Path = PROJECT) -> dict[Path, str]:
    """The generated files that do not say what they have to, with what they should say.

    Raises:
        ConfigurationError: a file of definitions cannot be read or speaks of what does not exist, or a model is
            certified without a gate.
    """
    certified = catalogue_of(context, read_areas(project / AREAS))
    sources = origins(column_graph(context.models.values()))
    texts = {
        **generated(sources, project),
        project / DATASETS: written(certified),
        **data_contracts(context, certified, read_metrics(project / METRICS), sources, project),
        **tableau_sources(context, read_meanings(project), read_subjects(project), project),
    }
    return {path: text for path, text in texts.items() if _content(path) != text}


def rules_page(rules: Sequence[Rule]) -> str:
    """docs/rules.md"""
    parts = [_RULES_INTRODUCTION]
    for entity, group in groupby(rules, key=lambda rule: rule.entity):
        described = list(group)
        rows = [[f"`{r.rule_id}`", _code(r.condition), _meaning(r), r.severity, r.owner] for r in described]
        title = f"All of {entity.removesuffix('_*')}" if entity.endswith("*") else f"`{entity}`"
        parts.append(f"## {title}\n\n{_table(['Rule', 'A bad row', 'Meaning', 'Severity', 'Owner'], rows)}")
    return "\n".join(parts)


def _meaning(rule: Rule) -> str:
    return f"{rule.meaning}. {rule.cure}" if rule.cure else rule.meaning


def metrics_page(meanings: Meanings, models: Mapping[str, str], sources: Origins) -> str:
    """docs/metrics.md: the metrics, and the columns of the certified tables; ``models`` is name -> SQL."""
    tables = {name: columns_of(sql) for name, sql in models.items() if "__" not in name}
    listed = [
        f"### `certified.{name}`\n\n"
        + _table(
            ["Column", "Meaning", "Comes from"],
            [[f"`{c}`", meanings.of(name, c) or "", _origins(sources, f"{name}.{c}")] for c in columns],
        )
        for name, columns in tables.items()
    ]
    columns = "## Columns of the certified tables\n\nA part `TABLE__SOURCE` has the columns of its table.\n"
    metrics = [*(_metric(m, sources) for m in meanings.metrics), _RATIOS_INTRODUCTION, *map(_ratio, meanings.ratios)]
    return "\n".join([_METRICS_INTRODUCTION, *metrics, columns, *listed])


def _metric(metric: Metric, sources: Origins) -> str:
    facts = [
        ["Formula", metric.formula],
        ["Unit", metric.unit],
        ["Shopify", metric.shopify],
        ["Owner", metric.owner],
        ["Comes from", _origins(sources, metric.columns[0])],
        ["Stands in", ", ".join(f"`certified.{column}`" for column in metric.columns)],
    ]
    return _definition(metric, facts)


def _ratio(ratio: Ratio) -> str:
    facts = [
        ["Formula", _code(ratio.sql)],
        ["Unit", ratio.unit],
        ["Shopify", ratio.shopify],
        ["Owner", ratio.owner],
        ["Worked out from", " or ".join(f"`certified.{table}`" for table in ratio.tables)],
    ]
    return _definition(ratio, facts)


def _definition(metric: Metric | Ratio, facts: Iterable[Sequence[str]]) -> str:
    caveats = "".join(f"- {caveat}\n" for caveat in metric.caveats)
    return f"## {metric.title}\n\n{metric.meaning}.\n\n{_table(['', ''], facts)}\n{caveats}"


def _origins(sources: Origins, column: str) -> str:
    """The columns of a column's values, by table: ``raw.oltp_order_lines``: quantity, unit_price; ..."""
    split = [name.rpartition(".") for name in sources.get(column, ())]
    tables = [(table, [part[2] for part in parts]) for table, parts in groupby(split, key=lambda part: part[0])]
    return (
        "; ".join(f"`{table}`: {', '.join(columns)}" for table, columns in tables) or "rows counted, or set by a model"
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(header), ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main(project: Path = PROJECT) -> int:
    """Write what is out of date, and name it. A mistake in a file of definitions is one line on stderr.

    Returns:
        The exit code.
    """
    from sqlmesh import Context

    try:
        # before the models, which are made of them: SQLMesh would wrap the error into its own
        read_rules(project / RULES)
        read_meanings(project)
        context = Context(paths=str(project))
        for _ in range(ROUNDS):
            if not (stale := outdated(context, project)):
                return DONE
            for path, text in stale.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                sys.stdout.write(f"{path.relative_to(project)}\n")
            context.load()  # where a new column comes from is read off the models that have it
        named = ", ".join(sorted(str(path.relative_to(project)) for path in stale))
        raise ConfigurationError(f"{named} never comes to rest: each writing changes it again")
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
