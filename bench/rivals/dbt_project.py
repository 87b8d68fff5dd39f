"""A dbt project of our own models: the same SQL, incremental models whose window is deleted before it is inserted, and
the tests that everybody writes. dbt knows no intervals: each invocation is told the window of each model, in an
environment variable that its macros read when a model runs. ``--vars`` would have it parse the whole project anew
whenever they change, which is every hour, and twice the price.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.rivals.own_models import READ, OwnModel, Window
from insightmart.transform.statement_templates import Template

NAME = "insightmart_by_dbt"
PROJECT = {
    "name": NAME,
    "profile": NAME,
    "version": "1.0",
    "model-paths": ["models"],
    "macro-paths": ["macros"],
    "flags": {"send_anonymous_usage_stats": False},
}
WINDOWS = "DBT_ENV_CUSTOM_ENV_WINDOWS"  # the environment variable
MACROS = """{% macro generate_schema_name(custom_schema_name, node) -%}{{ custom_schema_name }}{%- endmacro %}

{% macro instant(name) -%}
{{ fromjson(dbt_metadata_envs.get('WINDOWS', '{}')).get(model.name, {}).get(name, '2000-01-01 00:00:00') }}
{%- endmacro %}

{% test unique_together(model, columns) %}
SELECT {{ columns | join(', ') }} FROM {{ model }} GROUP BY {{ columns | join(', ') }} HAVING COUNT(*) > 1
{% endtest %}
"""
FORBIDDEN = re.compile(r"\{[{%#]")  # what dbt would take for its own


def write_project(directory: Path, database: Path, models: Sequence[OwnModel]) -> None:
    """Write the project, its profile included.

    Args:
        directory: new directory of the project.
        database: the DuckDB file that holds ``raw``.
        models: what it is made of.
    """
    own = {model.name for model in models}
    files: dict[str, str] = {
        "dbt_project.yml": _yaml(PROJECT),
        "profiles.yml": _yaml(
            {NAME: {"target": "bench", "outputs": {"bench": {"type": "duckdb", "path": str(database)}}}}
        ),
        "macros/windows.sql": MACROS,
        "models/sources.yml": _yaml(_sources(models, own)),
        "models/tests.yml": _yaml({"models": [_tests(model) for model in models if model.not_null or model.unique]}),
    }
    for model in models:
        files[f"models/{model.name.partition('.')[0]}/{dbt_name(model.name)}.sql"] = model_text(model, own)
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def dbt_name(name: str) -> str:
    """What dbt calls a model of ours: names are unique in all schemas."""
    return name.replace(".", "__", 1)


def model_text(model: OwnModel, own: Iterable[str]) -> str:
    """The model's file.

    Raises:
        ValueError: the statement has something in it that dbt would take for Jinja.
    """
    schema, _, table = model.name.partition(".")
    config: dict[str, Any] = {"schema": schema, "alias": table, "materialized": "incremental"}
    if model.kind in ("view", "whole"):
        config["materialized"] = {"view": "view", "whole": "table"}[model.kind]
    elif model.kind == "key":
        config |= {"incremental_strategy": "delete+insert", "unique_key": list(model.key)}
    elif model.window:
        delete = f"DELETE FROM {{{{ this }}}} WHERE {_text(model.window)}"
        before = f"{{% if is_incremental() %}}{delete}{{% endif %}}"
        config |= {"incremental_strategy": "append", "pre_hook": before}
    own = set(own)

    def named(found: re.Match[str]) -> str:
        read = found[1]
        if read == model.name:
            return f"{{% if is_incremental() %}}{{{{ this }}}}{{% else %}}{_nothing(model)}{{% endif %}}"
        schema, _, table = read.partition(".")
        return f"{{{{ ref('{dbt_name(read)}') }}}}" if read in own else f"{{{{ source('{schema}', '{table}') }}}}"

    stated = ", ".join(f"{name}={json.dumps(value)}" for name, value in config.items())
    return f"{{{{ config({stated}) }}}}\n{READ.sub(named, _text(model.query))}\n"


def told(models: Iterable[OwnModel], windows: Mapping[str, Window]) -> str:
    """What an invocation finds in ``WINDOWS``: for each model, as dbt calls it, the instants that it has places for."""
    return json.dumps(
        {
            dbt_name(model.name): {
                _place(place): Template((place,), ()).text(windows[model.name]) for place in model.places
            }
            for model in models
            if model.name in windows
        }
    )


def _text(template: Template) -> str:
    parts = []
    for part in template.parts:
        if isinstance(part, str) and FORBIDDEN.search(part):
            raise ValueError(f"dbt would take a part of this for its own: {part[:200]}")
        parts.append(part if isinstance(part, str) else f"{{{{ instant('{_place(part)}') }}}}")
    return "".join(parts)


def _place(place: tuple[str, str]) -> str:
    return "_".join(place).replace(" ", "_")


def _nothing(model: OwnModel) -> str:
    """The model's own table before there is one."""
    columns = ", ".join(f'CAST(NULL AS {type_}) AS "{name}"' for name, type_ in model.columns.items())
    return f"(SELECT {columns} WHERE FALSE)"


def _sources(models: Sequence[OwnModel], own: set[str]) -> dict[str, Any]:
    read = sorted({name for model in models for name in model.reads} - own)
    schemas = sorted({name.partition(".")[0] for name in read})
    return {
        "sources": [
            {
                "name": schema,
                "schema": schema,
                "tables": [{"name": name.partition(".")[2]} for name in read if name.startswith(f"{schema}.")],
            }
            for schema in schemas
        ]
    }


def _tests(model: OwnModel) -> dict[str, Any]:
    columns: dict[str, list[str]] = {}
    for name in model.not_null:
        columns.setdefault(name, []).append("not_null")
    together = []
    for combination in model.unique:
        if len(combination) == 1:
            columns.setdefault(combination[0], []).append("unique")
        else:
            together.append({"unique_together": {"arguments": {"columns": list(combination)}}})
    return {
        "name": dbt_name(model.name),
        "data_tests": together,
        "columns": [{"name": name, "data_tests": tests} for name, tests in columns.items()],
    }


def _yaml(content: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(content), sort_keys=False)
    return text
