"""The templates of deploy/aws: linted, small enough, and what their roles may do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from insightmart.settings import PROJECT
from tests.support.cloudformation import resources, template

FOLDER = PROJECT / "deploy" / "aws"
TEMPLATES = ("cycle.yaml", "one-machine.yaml")
INLINE_LIMIT = 51_200  # bytes that CloudFormation takes without a bucket in between

EVIDENCE = {"s3:PutObject", "s3:PutObjectRetention", "s3:GetObject", "s3:GetObjectVersion"} | {
    "s3:ListBucketVersions",
    "s3:GetBucketObjectLockConfiguration",
}
KEPT = {"s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ListBucketVersions"}
BUCKETS = EVIDENCE | KEPT | {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "kms:Decrypt", "kms:GenerateDataKey"}
START_A_CONTAINER = {
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchGetImage",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "secretsmanager:GetSecretValue",
    "kms:Decrypt",
}
# template -> role -> who may take it, and all that it may do
ROLES = {
    "cycle.yaml": {
        "ExecutionRole": ("ecs-tasks.amazonaws.com", START_A_CONTAINER),
        "TaskRole": ("ecs-tasks.amazonaws.com", BUCKETS),
        "CycleRole": (
            "states.amazonaws.com",
            {
                "ecs:RunTask",
                "ecs:StopTask",
                "ecs:DescribeTasks",
                "iam:PassRole",
                "events:PutTargets",
                "events:PutRule",
                "events:DescribeRule",
                "states:ListExecutions",
            },
        ),
        "ScheduleRole": ("scheduler.amazonaws.com", {"states:StartExecution"}),
    },
    "one-machine.yaml": {
        "MachineRole": (
            "ec2.amazonaws.com",
            START_A_CONTAINER | BUCKETS | {"cloudwatch:PutMetricData", "ec2:AttachVolume"},
        ),
        "BackupRole": ("dlm.amazonaws.com", set()),
    },
}
# Actions for which AWS knows no narrower resource.
EVERYWHERE = {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_cfn_lint_finds_nothing() -> None:
    run = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), *(str(FOLDER / name) for name in TEMPLATES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_every_template_is_tested_and_fits_into_one_call() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.yaml")) == sorted(TEMPLATES)
    assert [name for name in TEMPLATES if (FOLDER / name).stat().st_size > INLINE_LIMIT] == []


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_role_may_do_this_and_nothing_else(name: str) -> None:
    found = {}
    for role, one in resources(name, "AWS::IAM::Role").items():
        (trust,) = one["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        statements = [
            statement
            for policy in one["Properties"].get("Policies", [])
            for statement in policy["PolicyDocument"]["Statement"]
        ]
        assert {statement["Effect"] for statement in statements} <= {"Allow"}
        actions = {action for statement in statements for action in listed(statement["Action"])}
        wide = {a for s in statements if "*" in listed(s["Resource"]) for a in listed(s["Action"])}
        assert wide <= EVERYWHERE, role
        assert [action for action in actions if "*" in action] == []
        found[role] = (trust["Principal"]["Service"], actions)
    assert found == ROLES[name]


@pytest.mark.parametrize("name", TEMPLATES)
def test_only_what_is_kept_beside_the_home_can_be_deleted(name: str) -> None:
    for role in resources(name, "AWS::IAM::Role").values():
        for policy in role["Properties"].get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                if {action for action in listed(statement["Action"]) if "Delete" in action}:
                    assert "${KeptBucket" in statement["Resource"]["Fn::Sub"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_policies_of_aws_are_taken_for_the_shell_and_for_backups_only(name: str) -> None:
    taken = {
        role: [policy["Fn::Sub"].rpartition("/")[2] for policy in one["Properties"].get("ManagedPolicyArns", [])]
        for role, one in resources(name, "AWS::IAM::Role").items()
    }
    assert {role: policies for role, policies in taken.items() if policies} == (
        {}
        if name == "cycle.yaml"
        else {
            "MachineRole": ["AmazonSSMManagedInstanceCore"],
            "BackupRole": ["AWSDataLifecycleManagerServiceRole"],
        }
    )


def test_nobody_may_connect_but_the_task_to_the_state() -> None:
    groups = resources("cycle.yaml", "AWS::EC2::SecurityGroup") | resources(
        "one-machine.yaml", "AWS::EC2::SecurityGroup"
    )
    assert {name for name, one in groups.items() if "SecurityGroupIngress" in one["Properties"]} == {
        "EndpointSecurityGroup"
    }
    (ingress,) = resources("cycle.yaml", "AWS::EC2::SecurityGroupIngress").values()
    assert ingress["Properties"]["GroupId"] == {"Fn::GetAtt": ["StateSecurityGroup", "GroupId"]}
    assert ingress["Properties"]["SourceSecurityGroupId"] == {"Fn::GetAtt": ["TaskSecurityGroup", "GroupId"]}


def test_what_is_accepted_of_checkov_is_this_with_its_reasons() -> None:
    accepted = {
        (resource, one["id"]): one["comment"]
        for name in TEMPLATES
        for resource, said in template(name)["Resources"].items()
        for one in said.get("Metadata", {}).get("checkov", {}).get("skip", [])
    }
    assert set(accepted) == {("AccessLogsBucket", "CKV_AWS_18"), ("StateDatabase", "CKV_AWS_118")}
    assert all(len(reason) > 30 for reason in accepted.values())
    dockerfile = (FOLDER.parent / "container" / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"checkov:skip=(\w+):\w+", dockerfile) == ["CKV_DOCKER_2"]
