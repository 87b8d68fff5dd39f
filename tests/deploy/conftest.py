"""The templates of deploy/aws, each deployed once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cloudformation import Account, Stack, account, deploy

PARAMETERS = {
    "InterfaceEndpoints": "yes",
    "OltpCidr": "10.1.2.3/32",
    "ImageTag": "0123abc",
    "OperatorEmail": "operators@example.com",
    "MailDomain": "example.com",
    "ReportTo": "finance@example.com",
    "ReportFrom": "insightmart@example.com",
    "ShopifyUrl": "https://example.myshopify.com",
    "SnowflakeAccount": "organisation-account",
    "Start": "2026-01-01",
}


@pytest.fixture(scope="session")
def empty() -> Iterator[Account]:
    with account() as made:
        yield made


@pytest.fixture(scope="session")
def stack(empty: Account) -> Stack:
    return deploy(empty, "insightmart", "cycle.yaml", {**empty.network, **PARAMETERS})


@pytest.fixture(scope="session")
def container(stack: Stack) -> dict[str, Any]:
    """The container of the task, as the service has it."""
    task = stack.account.client("ecs").describe_task_definition(taskDefinition=stack.resources["Task"])
    (one,) = task["taskDefinition"]["containerDefinitions"]
    return dict(one)


@pytest.fixture(scope="session")
def one_machine(empty: Account) -> Stack:
    network = {"VpcId": empty.network["VpcId"], "SubnetId": empty.network["SubnetIds"].split(",")[0]}
    buckets = {"DropsBucket": "drops", "StatusBucket": "status", "EvidenceBucket": "evidence", "KeptBucket": "kept"}
    image = {"Repository": "insightmart", "ImageTag": "0123abc", "OltpCidr": "10.1.2.3/32"}
    watched = {"Zone": "us-east-1a", "OperatorEmail": "operators@example.com"}
    return deploy(empty, "one-machine", "one-machine.yaml", {**network, **buckets, **image, **watched})
