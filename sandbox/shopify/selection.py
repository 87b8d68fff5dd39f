"""What a query selects: the served schema, and a query's fields as a tree with their arguments filled in.

Fragments, @include and @skip, and fields that are asked for twice are resolved here, by graphql-core. The executor, the
points and bulk operations then all walk the same tree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    get_named_type,
    get_nullable_type,
    is_list_type,
)
from graphql.execution.collect_fields import collect_fields, collect_sub_fields
from graphql.execution.values import get_argument_values

SCHEMA_FILE = Path(__file__).with_name("shopify_admin_2026-10.graphql")


@lru_cache(maxsize=1)
def schema() -> GraphQLSchema:
    """The served part of the Admin API's schema."""
    return build_schema(SCHEMA_FILE.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Selected:
    """One selected field.

    Attributes:
        key: name in the answer (the alias, or the field's name).
        owner: type that has the field.
        name: the field.
        type_name: type of what it returns, without list and non-null.
        is_list: whether it returns a list.
        arguments: values of its arguments, defaults included.
        below: what is selected of the objects it returns; empty for scalars. Of an interface: of all its types.
        only_on: the types of an interface whose objects have it; None: all, or it is no field of an interface.
    """

    key: str
    owner: str
    name: str
    type_name: str
    is_list: bool
    arguments: Mapping[str, Any]
    below: tuple[Selected, ...]
    only_on: frozenset[str] | None = None

    @property
    def is_connection(self) -> bool:
        """Whether it returns a connection: edges or nodes, and a pageInfo."""
        return self.type_name.endswith("Connection")


def select(
    document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> tuple[Selected, ...]:
    """The root fields of an operation of a valid document."""
    root = schema().get_root_type(operation.operation)
    assert root is not None
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    found = collect_fields(schema(), fragments, dict(variables), root, operation.selection_set)
    return tuple(_selected(key, nodes, root, fragments, dict(variables)) for key, nodes in found.items())


def _selected(
    key: str,
    nodes: Sequence[FieldNode],
    owner: GraphQLObjectType,
    fragments: dict[str, FragmentDefinitionNode],
    variables: dict[str, Any],
) -> Selected:
    name = nodes[0].name.value
    if name == "__typename":
        return Selected(key, owner.name, name, "String", False, {}, ())
    field = owner.fields[name]
    returned = get_named_type(field.type)
    below: tuple[Selected, ...] = ()
    if isinstance(returned, GraphQLObjectType):
        found = collect_sub_fields(schema(), fragments, variables, returned, list(nodes))
        below = tuple(_selected(child, under, returned, fragments, variables) for child, under in found.items())
    elif isinstance(returned, GraphQLInterfaceType):
        below = _of_each_type(returned, nodes, fragments, variables)
    return Selected(
        key=key,
        owner=owner.name,
        name=name,
        type_name=returned.name,
        is_list=is_list_type(get_nullable_type(field.type)),
        arguments=get_argument_values(field, nodes[0], variables),
        below=below,
    )


def _of_each_type(
    interface: GraphQLInterfaceType,
    nodes: Sequence[FieldNode],
    fragments: dict[str, FragmentDefinitionNode],
    variables: dict[str, Any],
) -> tuple[Selected, ...]:
    """What is selected of the objects of an interface, whichever type they are of."""
    types = schema().get_possible_types(interface)
    merged: dict[str, Selected] = {}
    having: dict[str, set[str]] = {}
    for kind in types:
        for child, under in collect_sub_fields(schema(), fragments, variables, kind, list(nodes)).items():
            merged.setdefault(child, _selected(child, under, kind, fragments, variables))
            having.setdefault(child, set()).add(kind.name)
    return tuple(
        field if len(having[child]) == len(types) else replace(field, only_on=frozenset(having[child]))
        for child, field in merged.items()
    )
