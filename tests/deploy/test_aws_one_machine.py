"""The variant on one machine: its disk, its alarms, and what cron runs."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.cloudformation import Stack, template


def test_the_machine_answers_imdsv2_only_and_has_an_encrypted_disk(one_machine: Stack) -> None:
    ec2 = one_machine.account.client("ec2")
    assert one_machine.account.warnings == []
    (version,) = ec2.describe_launch_template_versions(LaunchTemplateId=one_machine.resources["Machine"])[
        "LaunchTemplateVersions"
    ]
    options = version["LaunchTemplateData"]["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)
    assert "KeyName" not in version["LaunchTemplateData"]
    said = template("one-machine.yaml")["Resources"]["Data"]  # moto keeps neither its key nor its tags
    assert (said["Properties"]["Encrypted"], said["DeletionPolicy"]) == (True, "Snapshot")
    assert f"--volume-id {one_machine.resources['Data']} " in user_data(one_machine)
    (backups,) = one_machine.of_type("AWS::DLM::LifecyclePolicy").values()
    assert backups["PolicyDetails"]["TargetTags"] == [{"Key": "InsightMart", "Value": "one-machine"}]
    assert said["Properties"]["Tags"] == [{"Key": "InsightMart", "Value": {"Ref": "AWS::StackName"}}]


def test_the_machine_tells_when_a_cycle_failed_or_is_late(one_machine: Stack) -> None:
    alarms = one_machine.of_type("AWS::CloudWatch::Alarm")
    assert set(alarms) == {"CycleFailed", "CycleLate", "MachineLost"}
    late = alarms["CycleLate"]
    assert (late["TreatMissingData"], late["Period"] * late["EvaluationPeriods"]) == ("breaching", 90 * 60)
    script = user_data(one_machine)
    assert f"--namespace {late['Namespace']} " in script
    assert {alarms[name]["MetricName"] for name in ("CycleFailed", "CycleLate")} == set(
        re.findall(r"result=(\w+)", script)
    )


def user_data(stack: Stack) -> str:
    """What the machine runs when it is made."""
    (version,) = stack.account.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=stack.resources["Machine"]
    )["LaunchTemplateVersions"]
    return base64.b64decode(version["LaunchTemplateData"]["UserData"]).decode()


STAND_INS = {  # of aws and docker: they note what they are called with, and docker what it finds in its environment
    "aws": 'case "$1" in secretsmanager) cat "$NOTES/settings";; *) echo "aws $*" >> "$NOTES/calls";; esac',
    "docker": 'echo "docker $*" >> "$NOTES/calls"; [ "$1" != run ] || printenv TEXT KEY > "$NOTES/values"',
}


@pytest.mark.skipif(not all(map(shutil.which, ("bash", "jq", "flock"))), reason="needs bash, jq and flock")
def test_cron_hands_every_setting_of_the_secret_to_the_container(one_machine: Stack, tmp_path: Path) -> None:
    script = user_data(one_machine)
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    assert "5 * * * * root /usr/local/bin/insightmart-hour" in script
    (body,) = re.findall(r"(?s)insightmart-run <<'SCRIPT'\n(.*?)\nSCRIPT\n", script)
    run = tmp_path / "insightmart-run"
    run.write_text(body.replace("/run/", f"{tmp_path}/"), encoding="utf-8")
    for name, text in STAND_INS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    values = {"TEXT": 'it\'s "so"; $(false)', "KEY": "-----BEGIN\nabc\n-----END"}
    (tmp_path / "settings").write_text(json.dumps(values), encoding="utf-8")
    environment = {**os.environ, "NOTES": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", run, "doctor"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "values").read_text("utf-8") == "{TEXT}\n{KEY}\n".format(**values)
    (started,) = [
        line for line in (tmp_path / "calls").read_text("utf-8").splitlines() if line.startswith("docker run")
    ]
    assert "--read-only" in started
    assert " --env=KEY --env=TEXT " in started
    assert started.endswith(".dkr.ecr.us-east-1.amazonaws.com/insightmart:0123abc doctor")
    assert not any(value in (tmp_path / "calls").read_text("utf-8") for value in values.values())
