"""Certified tables as data contracts, by the Open Data Contract Standard: docs/contracts/TABLE.odcs.yaml.

Everything in them is said elsewhere: by the models and their audits, columns.yml, metrics.yml, the checks of the gate.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from open_data_contract_standard.model import (
    AuthoritativeDefinition,
    DataQuality,
    Description,
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
    Server,
    ServiceLevelAgreementProperty,
    Team,
)
from sqlglot import exp

from ingestion.contracts import ENTITIES
from ingestion.warehouse import DATABASE
from insightmart.certification.datasets import Catalogue
from insightmart.certification.verdict import DAILY_TOLERANCE, HOURLY_TOLERANCE
from insightmart.definitions.metrics import Metric
from insightmart.gate.check_contract import check_contract
from insightmart.gate.thresholds import declared_thresholds, with_thresholds
from insightmart.settings import Settings
from insightmart.transform.model_graph import layer, own_models

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.model import Model

CONTRACTS = Path("docs/contracts")
STANDARD = "v3.2.0"

_HEADER = "# Written by `make docs` from the models, their checks and the definitions beside them; not to be edited.\n"
_LOGICAL = {
    exp.DType.DATE: "date",
    exp.DType.TIMESTAMP: "timestamp",
    exp.DType.TIMESTAMPNTZ: "timestamp",
    exp.DType.BOOLEAN: "boolean",
    exp.DType.DECIMAL: "number",
    **dict.fromkeys(exp.DataType.INTEGER_TYPES, "integer"),
    **dict.fromkeys(exp.DataType.TEXT_TYPES, "string"),
}
_PERSONAL = {f"raw.{item.table}.{column}" for item in ENTITIES for column in item.personal}
_MISSING = re.compile(r"missing_count\((\w+)\) = 0")


def data_contracts(
    context: Context,
    catalogue: Catalogue,
    metrics: Sequence[Metric],
    origins: Mapping[str, Sequence[str]],
    project: Path,
) -> dict[Path, str]:
    """The contract of each certified table, by the path of its file.

    Args:
        context: the project's models.
        catalogue: the areas and gates of certified tables.
        metrics: what the figures mean, with their caveats.
        origins: ``table.column`` of certified -> the columns of raw that its values are made of.
        project: the folder of the project.
    """
    version = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    checks = _checks(project)
    models = own_models(context)
    found = {}
    for name, model in sorted(models.items()):
        table = name.removeprefix("certified.")
        if layer(model) == "certified" and "__" not in table:
            candidates = [
                one for other, one in models.items() if re.fullmatch(rf"core\.{re.escape(table)}(__\w+)?", other)
            ]
            contract = _contract(table, model, candidates, version, catalogue, checks.get(table, []), metrics, origins)
            found[project / CONTRACTS / f"{table}.odcs.yaml"] = _HEADER + _written(contract)
    return found


def _contract(
    table: str,
    model: Model,
    candidates: Sequence[Model],
    version: str,
    catalogue: Catalogue,
    checks: Sequence[dict[str, Any]],
    metrics: Sequence[Metric],
    origins: Mapping[str, Sequence[str]],
) -> OpenDataContractStandard:
    dataset = next((one for one in catalogue.datasets if one.table == table), None)
    parts = [part for part in catalogue.parts if dataset and part.gate in dataset.gates]
    told = {f"{table}.{column}" for column in _columns(model)}
    caveats = [caveat for metric in metrics if told & set(metric.columns) for caveat in metric.caveats]
    return OpenDataContractStandard(
        apiVersion=STANDARD,
        kind="DataContract",
        id=f"insightmart-certified-{table.replace('_', '-')}",
        name=f"certified.{table}",
        version=version,
        status="active",
        domain=parts[0].area.lower() if parts else None,
        dataProduct="insightmart",
        description=Description(
            purpose=model.description,
            usage=f"Read {DATABASE}.CERTIFIED.{table.upper()}; reading rights are all that a reader needs.",
            limitations="\n".join(f"- {caveat}" for caveat in dict.fromkeys(caveats)) or None,
            authoritativeDefinitions=[AuthoritativeDefinition(url="../metrics.md", type="businessDefinition")],
        ),
        team=Team(name=model.owner),
        servers=[
            Server(server="local", type="duckdb", database=f"readers/{DATABASE}.duckdb", schema="CERTIFIED"),
            Server(
                server="production",
                type="snowflake",
                account="${SNOWFLAKE_ACCOUNT}",
                database=DATABASE,
                schema="CERTIFIED",
            ),
        ],
        slaProperties=_promises(table, [part.is_hourly for part in parts]),
        schema=[
            SchemaObject(
                name=table,
                physicalName=f"CERTIFIED.{table.upper()}",
                physicalType="view" if model.kind.is_view else "table",
                logicalType="object",
                description=model.description,
                dataGranularityDescription=f"One row a combination of {', '.join(grain)}"
                if (grain := _grain(model))
                else None,
                properties=list(_properties(table, model, _filled(candidates, checks), origins)),
                quality=[*(_quality(check) for check in checks), *_audited(candidates)] or None,
            )
        ],
    )


def _promises(table: str, is_hourly: Sequence[bool]) -> list[ServiceLevelAgreementProperty] | None:
    """How fresh figures are, and for how long they are kept. What the pipeline notes of itself has neither."""
    if not is_hourly:
        return None
    hourly = all(is_hourly)
    tolerance: timedelta = HOURLY_TOLERANCE if hourly else DAILY_TOLERANCE
    promises = [
        ServiceLevelAgreementProperty(property="frequency", value=1, unit="h" if hourly else "d"),
        ServiceLevelAgreementProperty(
            property="latency",
            value=int(tolerance.total_seconds() // 60),
            unit="minutes",
            description=f"{'behind the last whole hour' if hourly else 'since the last load'}; beyond it it is late",
        ),
    ]
    if table.startswith("dim_"):  # kept
        return promises
    setting = "retention_raw" if table.startswith("fct_") else "retention_aggregates"
    count, unit = str(Settings.model_fields[setting].default).split()
    return [*promises, ServiceLevelAgreementProperty(property="retention", value=int(count), unit=unit)]


def _properties(
    table: str, model: Model, filled: set[str], origins: Mapping[str, Sequence[str]]
) -> Iterator[SchemaProperty]:
    grain = _grain(model)
    meanings = {name.lower(): text for name, text in (model.column_descriptions or {}).items()}
    for column, kind in _columns(model).items():
        made_of = list(origins.get(f"{table}.{column}", ()))
        yield SchemaProperty(
            name=column,
            physicalName=column.upper(),
            logicalType=_LOGICAL[kind.this],
            physicalType=kind.sql("snowflake"),
            description=meanings.get(column),
            primaryKey=True if column in grain else None,
            primaryKeyPosition=grain.index(column) + 1 if column in grain else None,
            required=True if column in filled else None,
            unique=True if grain == [column] else None,
            # a figure is nobody's, though a rule about a personal column may decide what it counts
            classification="personal" if _PERSONAL & set(made_of) and _LOGICAL[kind.this] == "string" else None,
            transformSourceObjects=made_of or None,
        )


def _columns(model: Model) -> dict[str, exp.DataType]:
    return {name.lower(): kind for name, kind in (model.columns_to_types or {}).items()}


def _grain(model: Model) -> list[str]:
    return [column.name.lower() for grain in model.grains for column in grain.find_all(exp.Column)]


def _filled(candidates: Sequence[Model], checks: Sequence[dict[str, Any]]) -> set[str]:
    """The columns that are never NULL: every candidate is audited for it, or a critical check looks."""
    audited = [
        {column.name.lower() for name, args in model.audits if name == "not_null" for column in _named(args)}
        for model in candidates
    ]
    checked = {
        found[1].lower()
        for check in checks
        if check["severity"] == "critical" and (found := _MISSING.fullmatch(check["rule"]))
    }
    return checked | (set.intersection(*audited) if audited else set())


def _named(arguments: Mapping[str, exp.Expr]) -> Iterator[exp.Column]:
    yield from arguments["columns"].find_all(exp.Column)


def _audited(candidates: Sequence[Model]) -> Iterator[DataQuality]:
    """The audits of the candidates, each once: a part has those of the other one, with the names of its own tables."""
    told = set()
    for model in candidates:
        for name, args in model.audits:
            given = ", ".join(f"{key} := {value.sql('snowflake')}" for key, value in args.items())
            text = re.sub(r"__(?:oltp\b|shopify\b|stores\b|@\{source\})", "__SOURCE", f"{name}({given})")
            if text not in told:
                told.add(text)
                what = "Must hold of every window before the gate looks at it"
                yield _custom("sqlmesh", f"audit {name}", what, "error", text)


def _checks(project: Path) -> dict[str, list[dict[str, Any]]]:
    """The checks of each table, as the files of soda/checks state them."""
    thresholds = declared_thresholds(project)
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((project / "soda" / "checks").glob("*.yml")):
        text = with_thresholds(path.read_text(encoding="utf-8"), thresholds)
        for title, listed in yaml.safe_load(text).items():
            table = title.rpartition(".")[2].lower()
            for check in listed:
                ((rule, options),) = check.items()
                attributes = options.get("attributes", {})
                found.setdefault(table, []).append(
                    {"rule": str(rule), "options": options, "severity": attributes.get("severity"), "check": check}
                )
    return found


def _quality(check: Mapping[str, Any]) -> DataQuality:
    text = _dumped([check["check"]])
    allowed, owner = check_contract(yaml.safe_dump({"checks": [check["check"]]}, sort_keys=False))
    rule = check["rule"] if allowed in check["rule"] else f"{check['rule']} {allowed}"
    name = check["options"].get("name", check["rule"])
    severity = "error" if check["severity"] == "critical" else "warning"
    return _custom("soda", name, f"{rule}; owner: {owner}", severity, text)


def _custom(engine: str, name: str, description: str, severity: str, implementation: str) -> DataQuality:
    return DataQuality.model_validate(
        {
            "type": "custom",
            "name": name,
            "description": description,
            "severity": severity,
            "engine": engine,
            "implementation": implementation,
        }
    )


class _Readable(yaml.SafeDumper):
    """Texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)


def _written(contract: OpenDataContractStandard) -> str:
    return _dumped(contract.model_dump(by_alias=True, exclude_none=True))


def _dumped(plain: Any) -> str:
    text: str = yaml.dump(plain, Dumper=_Readable, sort_keys=False, allow_unicode=True, width=110)
    return text
