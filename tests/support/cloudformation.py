"""Templates of CloudFormation, deployed into moto's server.

moto creates nothing for some types and only warns of it. Those are taken out of a template first and given back with
their properties as the server resolved them, for a test to create them through boto3; a warning of any other type is
kept, to fail on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import httpx
from cfnlint.decode import cfn_yaml
from moto.cloudformation.parsing import get_model_map
from moto.server import ThreadedMotoServer

PROJECT = Path(__file__).parents[2]
REGION = "us-east-1"
STATE_SECRET = "StateDatabase.MasterUserSecret.SecretArn"


def template(name: str) -> dict[str, Any]:
    """A template of deploy/aws as CloudFormation reads it, with the long form of every function."""
    read: dict[str, Any] = json.loads(json.dumps(cfn_yaml.load(str(PROJECT / "deploy" / "aws" / name))))
    return read


def resources(name: str, kind: str) -> dict[str, Any]:
    """The resources of a type in a template."""
    return {key: one for key, one in template(name)["Resources"].items() if one["Type"] == kind}


@dataclass
class Account:
    """An empty account of moto, over HTTP.

    Attributes:
        client: a boto3 client of a service of it.
        endpoint: where it answers.
        network: ids of a network in it, as parameters of a template.
        warnings: what moto warned of.
    """

    client: Any
    endpoint: str
    network: dict[str, str]
    warnings: list[str] = field(default_factory=list)


@dataclass
class Stack:
    """A template that was deployed.

    Attributes:
        account: where.
        resources: logical name -> physical id.
        left_out: logical name -> type and resolved properties of what moto does not create from templates.
    """

    account: Account
    resources: dict[str, str]
    left_out: dict[str, tuple[str, dict[str, Any]]]

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """What was left out of a type: logical name -> properties."""
        return {name: properties for name, (found, properties) in self.left_out.items() if found == kind}


class _Kept(logging.Handler):
    def __init__(self, texts: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.texts = texts

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def account() -> Iterator[Account]:
    """An account with a network, gone at the end."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    httpx.post(f"{endpoint}/moto-api/reset").raise_for_status()  # moto keeps what it has for the whole process
    client = partial(
        boto3.client,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
    )
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"]
        for number, zone in enumerate("ab")
    ]
    network = {
        "VpcId": vpc,
        "SubnetIds": ",".join(subnet["SubnetId"] for subnet in subnets),
        "RouteTableIds": ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"],
    }
    made = Account(client, endpoint, network)
    handler, logger = _Kept(made.warnings), logging.getLogger("moto")
    logger.addHandler(handler)
    try:
        yield made
    finally:
        logger.removeHandler(handler)
        server.stop()


def deploy(made: Account, stack_name: str, name: str, parameters: dict[str, str]) -> Stack:
    """Create a stack of a template in an account.

    Secrets are made through boto3, and so is the one that RDS would make; outputs carry what was left out, resolved.
    """
    document = template(name)
    supported, resources = get_model_map(), document["Resources"]
    left = {key: resources.pop(key) for key in list(resources) if resources[key]["Type"] not in supported}
    secrets = made.client("secretsmanager")
    arns = {
        key: secrets.create_secret(Name=f"{stack_name}-{key}")["ARN"]
        for key in [*(key for key, one in left.items() if one["Type"].endswith("::Secret")), STATE_SECRET.split(".")[0]]
    }
    document = _with_arns(document, arns)
    _as_moto_can(document["Resources"], stack_name)
    for key, one in left.items():
        document["Outputs"][key] = {"Value": {"Fn::ToJsonString": _with_arns(one["Properties"], arns)}}
    stacks = made.client("cloudformation")
    stacks.create_stack(
        StackName=stack_name,
        TemplateBody=json.dumps(document),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    (stack,) = stacks.describe_stacks(StackName=stack_name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    listed = stacks.list_stack_resources(StackName=stack_name)["StackResourceSummaries"]
    return Stack(
        made,
        {one["LogicalResourceId"]: one.get("PhysicalResourceId", "") for one in listed},
        {key: (one["Type"], json.loads(outputs[key])) for key, one in left.items()},
    )


def _as_moto_can(resources: dict[str, Any], stack_name: str) -> None:
    """What moto 5.2 cannot: names of repositories, a parameter group referred to, an image out of a launch template."""
    if "Instance" in resources:
        resources["Instance"]["Properties"]["ImageId"] = resources["Machine"]["Properties"]["LaunchTemplateData"][
            "ImageId"
        ]
    if "Images" in resources:
        resources["Images"]["Properties"]["RepositoryName"] = stack_name
    if "StateDatabase" in resources:
        assert resources["StateDatabase"]["Properties"].pop("DBParameterGroupName") == {"Ref": "StateParameters"}


def _with_arns(value: Any, arns: dict[str, str]) -> Any:
    """The same with addresses of secrets in place of what refers to them."""
    state = arns[STATE_SECRET.split(".")[0]]
    if isinstance(value, dict):
        if value.keys() == {"Ref"} and value["Ref"] in arns and value["Ref"] != "StateDatabase":
            return arns[value["Ref"]]
        if value.keys() == {"Fn::GetAtt"} and value["Fn::GetAtt"] in (STATE_SECRET, STATE_SECRET.split(".", 1)):
            return state
        return {key: _with_arns(part, arns) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_arns(part, arns) for part in value]
    if isinstance(value, str):
        value = value.replace("${" + STATE_SECRET + "}", state)
        for key, arn in arns.items():
            value = value.replace("${" + key + "}", arn)
    return value
