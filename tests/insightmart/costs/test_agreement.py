"""Prices, budget, quotas, alarms, templates and measurements say the same: none drifts away from the others."""

from __future__ import annotations

import re

import pytest

from insightmart.account.account_parameters import PARAMETERS, AccountParameters, read_parameters
from insightmart.costs.budget_watch import WARN_AT
from insightmart.costs.estimate import AWS, COMPUTE, STORED, CostEstimate, estimate
from insightmart.costs.measurements import read_measurements
from insightmart.costs.price_table import CREDIT, read_prices
from insightmart.settings import PROJECT, Settings
from tests.support.cloudformation import template
from tests.support.statements import SENT

MEASURED, PRICES = read_measurements(), read_prices()
BUDGET = Settings.model_fields["budget_usd"].default
CYCLE = template("cycle.yaml")
# Of deploy/aws/cycle.yaml, what nobody pays for; ways to AWS inside the network are only made where they are asked for.
FREE = {
    "AWS::Budgets::Budget",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::VPCEndpoint",
    "AWS::IAM::Role",
    "AWS::RDS::DBParameterGroup",
    "AWS::RDS::DBSubnetGroup",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
}


@pytest.fixture(scope="module")
def account() -> AccountParameters:
    return read_parameters(PROJECT / PARAMETERS)


@pytest.fixture(scope="module")
def at_three_times(account: AccountParameters) -> CostEstimate:
    return estimate(MEASURED, PRICES, account, 3)


def default(name: str) -> float:
    """The default of a parameter of deploy/aws/cycle.yaml."""
    return float(CYCLE["Parameters"][name]["Default"])


def test_budget_and_price_are_the_same_everywhere(account: AccountParameters) -> None:
    assert account.budget.usd_a_month == BUDGET == default("BudgetUsd")
    assert account.budget.usd_a_credit == PRICES.usd(CREDIT)


def test_quotas_storage_and_aws_together_stay_in_the_budget(
    account: AccountParameters, at_three_times: CostEstimate
) -> None:
    text = (PROJECT / PARAMETERS).with_name("5_budget.sql").read_text(encoding="utf-8")
    quotas = {
        name: int(quota) for name, quota in re.findall(r"MONITOR IF NOT EXISTS (\w+) WITH\s+CREDIT_QUOTA = (\d+)", text)
    }
    stops_at = quotas["INSIGHTMART_ACCOUNT"] * PRICES.usd(CREDIT)
    assert quotas == account.monitors
    assert stops_at + at_three_times.total(at_three_times.likely, STORED) + default("MonthlyBudgetUsd") <= BUDGET
    # told before warehouses stop
    assert stops_at > BUDGET * WARN_AT / 100


def test_what_is_estimated_fits_quotas_and_the_alarm_of_aws(
    account: AccountParameters, at_three_times: CostEstimate
) -> None:
    for name in account.warehouses:
        lines = [line for line in at_three_times.likely if line.part == COMPUTE and line.what.startswith(f"{name},")]
        assert 0 < sum(line.quantity for line in lines) < account.monitors[f"INSIGHTMART_{name}"], name
    assert at_three_times.total(at_three_times.high, AWS) < default("MonthlyBudgetUsd")


def test_everything_that_the_template_makes_has_a_price_or_is_free() -> None:
    made = {one["Type"] for one in CYCLE["Resources"].values()}
    priced = {kind for unit in PRICES.units.values() for kind in unit.of}
    assert made == priced | FREE
    assert not priced & FREE
    used = {line.price for line in estimate(MEASURED, PRICES, read_parameters(PROJECT / PARAMETERS)).likely}
    assert used == set(PRICES.units)


def test_what_is_said_of_the_template_is_in_it() -> None:
    made = CYCLE["Resources"]
    state, drops = made["StateDatabase"]["Properties"], made["DropsBucket"]["Properties"]
    [files] = [rule for rule in drops["LifecycleConfiguration"]["Rules"] if rule["Id"] == "store-files"]
    secrets = [one for one in made.values() if one["Type"] == "AWS::SecretsManager::Secret"]
    metrics = [one["Properties"].get("Metrics", [{}, {}]) for one in made.values() if one["Type"].endswith("::Alarm")]
    images = made["Images"]["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"]
    steps = made["Cycle"]["Properties"]["DefinitionString"]["Fn::Sub"][0]
    assert {name: one.value for name, one in MEASURED.items() if one.kind == "template"} == {
        "task_vcpu": default("Cpu") / 1024,
        "task_gb": default("Memory") / 1024,
        "task_disk_gb": default("DiskGiB"),
        "cycle_limit_seconds": default("CycleSeconds"),
        "state_gb": float(state["AllocatedStorage"]),
        "kept_images": float(re.findall(r'"countNumber": (\d+)', images)[0]),
        "secrets": len(secrets) + 1,  # that of the database's password, which RDS keeps
        "alarm_metrics": sum(len(one) - 1 for one in metrics),  # the sum itself is none
        "files_standard_days": files["Transitions"][0]["TransitionInDays"],
        "files_days": files["ExpirationInDays"],
        "steps": len(re.findall(r'"(?:WhatRuns|IsOneRunning|RunCycle|Done)": \{', steps)),
    }
    template_names = made["StateDatabase"]["Properties"]["MultiAZ"], default_text("StateInstanceClass")
    assert template_names == ({"Ref": "StateMultiAz"}, "db.t4g.small")
    assert default_text("StateMultiAz") == "true"


def default_text(name: str) -> str:
    return str(CYCLE["Parameters"][name]["Default"])


def test_what_was_measured_stands_on_the_page_that_is_named() -> None:
    for name, one in MEASURED.items():
        if one.kind != "measured" or name == "scan_statements":
            continue
        page = (PROJECT / one.source.split()[0]).read_text(encoding="utf-8")
        spelled = f"{one.value:,g}" if one.value < 1e5 else f"{one.value:,.0f}"
        millions = f"{one.value / 1e6:g}M"
        if name == "build_statements":  # a sum of the table there
            assert one.value == sum(SENT.values()) - SENT["load"]
        else:
            assert spelled in page or millions in page, f"{name}: {spelled} is not in {one.source}"
    assert MEASURED["load_statements"].value == SENT["load"]
