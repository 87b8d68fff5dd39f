"""The stack of deploy/aws/cycle.yaml in moto's server, and what it promises looked up there.

What this cannot show, AWS's own refusals among it, stands in docs/deploy-on-aws.md.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from insightmart.ledger.chain import Head
from insightmart.ledger.kept_heads import HeadStore
from insightmart.settings import Settings, load_settings
from tests.support.cloudformation import Account, Stack, resources, template

# What moto 5.2 does not create from a template, and is created through boto3 here, or parsed.
LEFT_OUT = {
    "AWS::Budgets::Budget",
    "AWS::CloudWatch::Alarm",
    "AWS::S3::BucketPolicy",
    "AWS::SES::EmailIdentity",
    "AWS::SNS::TopicPolicy",
    "AWS::Scheduler::Schedule",
    "AWS::SecretsManager::Secret",
}


def test_moto_creates_all_but_what_is_known(stack: Stack) -> None:
    assert {kind for kind, _ in stack.left_out.values()} == LEFT_OUT
    assert stack.account.warnings == []
    made = [name for name in template("cycle.yaml")["Resources"] if name not in stack.left_out]
    assert sorted(stack.resources) == sorted(made)


def test_buckets_are_encrypted_versioned_closed_and_cleared(stack: Stack) -> None:
    buckets = {name: one["Properties"] for name, one in resources("cycle.yaml", "AWS::S3::Bucket").items()}
    assert len(buckets) == 5
    for name, bucket in buckets.items():
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        algorithm = rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"]
        assert algorithm == ("aws:kms" if name in ("DropsBucket", "EvidenceBucket", "KeptBucket") else "AES256"), name
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert {one["Status"] for one in bucket["LifecycleConfiguration"]["Rules"]} == {"Enabled"}
        assert (name == "AccessLogsBucket") != ("LoggingConfiguration" in bucket)
    # nothing ever deletes evidence
    rules = buckets["EvidenceBucket"]["LifecycleConfiguration"]["Rules"]
    assert [rule.keys() - {"Id", "Status", "AbortIncompleteMultipartUpload"} for rule in rules] == [set()]
    # no rule ends an original, a message that waits or a review
    kept = buckets["KeptBucket"]["LifecycleConfiguration"]["Rules"]
    assert {rule.get("Prefix") for rule in kept if "ExpirationInDays" in rule} == {
        "home/logs/",
        "home/outbox/undeliverable/",
    }
    s3 = stack.account.client("s3")
    assert {stack.resources[name] for name in buckets} <= {one["Name"] for one in s3.list_buckets()["Buckets"]}


def test_buckets_refuse_plain_http(stack: Stack) -> None:
    s3 = stack.account.client("s3")
    policies = stack.of_type("AWS::S3::BucketPolicy").values()
    assert {policy["Bucket"] for policy in policies} == {
        stack.resources[name] for name in resources("cycle.yaml", "AWS::S3::Bucket")
    }
    for policy in policies:
        bucket = policy["Bucket"]
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy["PolicyDocument"]))
        refused, *allowed = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        assert (refused["Effect"], refused["Principal"], refused["Action"]) == ("Deny", "*", "s3:*")
        assert refused["Resource"] == [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert [one["Principal"] for one in allowed] == (
            [{"Service": "logging.s3.amazonaws.com"}] if "accesslogs" in bucket else []
        )


def test_a_head_of_the_ledger_is_kept_locked_in_the_bucket_for_evidence(
    empty: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    said = template("cycle.yaml")["Resources"]["EvidenceBucket"]["Properties"]
    s3 = empty.client("s3")
    s3.create_bucket(Bucket="evidence", ObjectLockEnabledForBucket=said["ObjectLockEnabled"])
    s3.put_object_lock_configuration(Bucket="evidence", ObjectLockConfiguration=said["ObjectLockConfiguration"])
    kept = HeadStore("s3://evidence/ledger", empty.endpoint)
    assert kept.has_object_lock()
    assert kept.put(Head(7, "0" * 64))
    assert s3.head_object(Bucket="evidence", Key=kept.key(7))["ObjectLockMode"] == "COMPLIANCE"
    s3.put_object(Bucket="evidence", Key="by hand", Body=b"")
    assert s3.head_object(Bucket="evidence", Key="by hand")["ObjectLockMode"] == "GOVERNANCE"


def test_the_state_is_encrypted_backed_up_and_not_reachable_from_outside(stack: Stack) -> None:
    databases = stack.account.client("rds").describe_db_instances()["DBInstances"]
    (database,) = databases
    assert (database["Engine"], database["DBName"], database["MasterUsername"]) == (
        "postgres",
        "sqlmesh",
        "insightmart_state",
    )
    assert database["StorageEncrypted"]
    assert not database["PubliclyAccessible"]
    assert database["BackupRetentionPeriod"] >= 14
    said = template("cycle.yaml")["Resources"]["StateDatabase"]
    assert said["Properties"]["DeletionProtection"] is True
    assert said["DeletionPolicy"] == said["UpdateReplacePolicy"] == "Snapshot"
    assert said["Properties"]["ManageMasterUserPassword"] is True
    assert "MasterUserPassword" not in said["Properties"]
    parameters = template("cycle.yaml")["Resources"]["StateParameters"]["Properties"]["Parameters"]
    assert parameters["rds.force_ssl"] == "1"


def test_the_container_may_write_to_its_home_and_tmp_only(container: dict[str, Any]) -> None:
    assert container["readonlyRootFilesystem"] is True
    assert container["user"] == "10001:10001"
    assert container["linuxParameters"]["capabilities"]["drop"] == ["ALL"]
    assert [mount["containerPath"] for mount in container["mountPoints"]] == ["/var/lib/insightmart", "/tmp"]
    said = template("cycle.yaml")["Resources"]["Task"]["Properties"]
    assert (said["NetworkMode"], said["RequiresCompatibilities"]) == ("awsvpc", ["FARGATE"])
    assert container["command"] == ["cycle"]


def test_every_setting_of_production_is_passed_and_accepted(
    container: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {str(field.alias) for field in Settings.model_fields.values()}
    state = {f"STATE_{name}" for name in ("HOST", "PORT", "USER", "PASSWORD", "DATABASE")}
    plain = {one["name"]: one["value"] for one in container["environment"]}
    secret = {one["name"] for one in container["secrets"] if one}
    elsewhere = {
        "AWS_ENDPOINT_URL",  # AWS itself
        "BACKUP_URL",  # of a local warehouse
        "PLAIN_CONNECTIONS",  # there are none
        "STORE_DECLARATIONS",  # the file in the image
        "SNOWFLAKE_PASSWORD",  # a key pair it is
        "SNOWFLAKE_PRIVATE_KEY_PATH",  # the key itself is handed over
    }
    named = {one["Name"] for one in every_secret()} | set(plain)
    assert (known | state) - named == elsewhere
    assert named - (known | state) == {"AWS_DEFAULT_REGION"}
    assert secret == {"OLTP_DSN", "SHOPIFY_TOKEN", "SMTP_URL", "SNOWFLAKE_PRIVATE_KEY", "STATE_PASSWORD"}

    for name in known | state:
        monkeypatch.delenv(name, raising=False)
    for name, value in plain.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.gateway, settings.routes, settings.openlineage_url) == ("snowflake", None, None)
    assert str(settings.stores_url).startswith("s3://insightmart-dropsbucket-")
    # the login of deploy/snowflake
    assert (settings.snowflake_user, settings.snowflake_role) == ("INSIGHTMART_PIPELINE", "INSIGHTMART_PIPELINE")
    assert [settings.warehouse_of(work) for work in ("load", "transform", "gate", "report")] == [
        "INSIGHTMART_LOAD",
        "INSIGHTMART_TRANSFORM",
        "INSIGHTMART_GATE",
        "INSIGHTMART_REPORT",
    ]
    assert (settings.role_of("load"), settings.role_of("gate")) == ("INSIGHTMART_LOADER", "INSIGHTMART_PIPELINE")


def every_secret() -> list[dict[str, Any]]:
    """Those of the container, with those that are there on condition."""
    (definition,) = template("cycle.yaml")["Resources"]["Task"]["Properties"]["ContainerDefinitions"]
    return [one.get("Fn::If", [None, one])[1] for one in definition["Secrets"]]


def test_secrets_are_made_empty_and_their_values_stand_nowhere(stack: Stack) -> None:
    secrets = stack.of_type("AWS::SecretsManager::Secret")
    assert {one["Name"].partition("/")[2] for one in secrets.values()} == {
        "OLTP_DSN",
        "SHOPIFY_TOKEN",
        "SMTP_URL",
        "SNOWFLAKE_PRIVATE_KEY",
    }
    assert all(one.keys() == {"Name", "Description", "KmsKeyId"} for one in secrets.values())
    made = stack.account.client("secretsmanager")
    for one in secrets.values():
        made.create_secret(**one)
        assert made.describe_secret(SecretId=one["Name"])["KmsKeyId"] == one["KmsKeyId"]


def test_the_log_is_encrypted_and_ends(stack: Stack) -> None:
    (group,) = stack.account.client("logs").describe_log_groups(logGroupNamePrefix="/insightmart/insightmart")[
        "logGroups"
    ]
    assert (group["logGroupName"], group["retentionInDays"]) == ("/insightmart/insightmart", 400)
    assert template("cycle.yaml")["Resources"]["Log"]["Properties"]["KmsKeyId"] == {"Fn::GetAtt": ["Key", "Arn"]}
