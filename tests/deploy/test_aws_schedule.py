"""What happens every hour, and who hears when it does not: state machine, schedule, alarms, budget, mail."""

from __future__ import annotations

import json
from typing import Any

import jsonata
import pytest
from cfnlint import lint
from cfnlint.config import ManualArgs

from tests.support.cloudformation import REGION, Stack, template

UNUSED = "W2001"  # a parameter that only the definition refers to, where its value stands in the resolved one


@pytest.fixture(scope="module")
def machine(stack: Stack) -> dict[str, Any]:
    """The definition of the state machine, with everything in it resolved."""
    found = stack.account.client("stepfunctions").describe_state_machine(stateMachineArn=stack.resources["Cycle"])
    return dict(json.loads(found["definition"]))


def test_every_state_is_reached_and_every_task_retries_and_ends(machine: dict[str, Any]) -> None:
    states = machine["States"]
    reached, waiting = set(), [machine["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            state = states[name]
            followers = [state.get("Next"), state.get("Default"), *(one["Next"] for one in state.get("Choices", []))]
            waiting += [one for one in [*followers, *(c["Next"] for c in state.get("Catch", []))] if one]
            assert followers != [None, None] or state["Type"] in ("Succeed", "Fail")
    assert reached == set(states)
    tasks = {name: state for name, state in states.items() if state["Type"] == "Task"}
    assert set(tasks) == {"WhatRuns", "RunCycle"}
    assert all(state["Retry"] and state["TimeoutSeconds"] > 0 for state in tasks.values())
    assert {name for name, state in states.items() if state["Type"] == "Succeed"} == {"Done"}


def problems(definition: dict[str, Any]) -> list[str]:
    """What cfn-lint has to say of a definition; it does not look into one that is put together by Fn::Sub."""
    document = template("cycle.yaml")
    machine = document["Resources"]["Cycle"]["Properties"]
    del machine["DefinitionString"]
    machine["Definition"] = definition
    return [
        str(match) for match in lint(json.dumps(document), config=ManualArgs(regions=[REGION], ignore_checks=[UNUSED]))
    ]


def test_the_definition_is_in_the_language_of_step_functions(machine: dict[str, Any]) -> None:
    assert problems(machine) == []
    wrong = json.loads(json.dumps(machine))
    del wrong["States"]["WhatRuns"]["Resource"]
    assert "'Resource' is a required property" in problems(wrong)[0]


def test_the_task_runs_to_its_end_in_the_private_subnets(machine: dict[str, Any], stack: Stack) -> None:
    task = machine["States"]["RunCycle"]
    assert task["Resource"] == "arn:aws:states:::ecs:runTask.sync"
    assert task["TimeoutSeconds"] < 3600
    arguments = task["Arguments"]
    assert arguments["TaskDefinition"] == stack.resources["Task"]
    assert arguments["Cluster"].endswith(f":cluster/{stack.resources['Cluster']}")
    network = arguments["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network == {
        "Subnets": stack.account.network["SubnetIds"].split(","),
        "SecurityGroups": [stack.resources["TaskSecurityGroup"]],
        "AssignPublicIp": "DISABLED",
    }
    # one that ran too long is stopped for good; one that could not be started, failed or was lost is repeated. The
    # order counts: TaskFailed stands for every error but a time-out.
    assert [(one["ErrorEquals"][0], one["MaxAttempts"]) for one in task["Retry"]] == [
        ("States.Timeout", 0),
        ("ECS.AmazonECSException", 3),
        ("States.TaskFailed", 1),
    ]


@pytest.mark.parametrize(
    ("others", "follows"),
    [
        ({}, "RunCycle"),
        ({"a": "2026-03-01T10:00:00.000Z"}, "OneIsRunning"),  # of the hour before
        ({"z": "2026-03-01T11:05:09.000Z"}, "RunCycle"),  # began later: that one steps back
        ({"a": "2026-03-01T11:05:00.123Z"}, "OneIsRunning"),  # delivered twice in one instant: one of the two goes on
        ({"z": "2026-03-01T11:05:00.123Z"}, "RunCycle"),
        ({"a": "2026-03-01T10:00:00.000Z", "z": "2026-03-01T11:05:09.000Z"}, "OneIsRunning"),
    ],
)
@pytest.mark.parametrize("lists_itself", [True, False])  # the list may lag behind
def test_no_two_cycles_run_and_one_of_them_always_does(
    machine: dict[str, Any], others: dict[str, str], follows: str, lists_itself: bool
) -> None:
    own = {"ExecutionArn": "m", "StartDate": "2026-03-01T11:05:00.123Z"}
    running = [{"ExecutionArn": arn, "StartDate": began} for arn, began in others.items()]
    execution = {"Id": "m", "StartTime": "2026-03-01T11:05:00.123Z"}
    question = machine["States"]["WhatRuns"]["Output"]["earlier"]
    known = {"result": {"Executions": running + [own] * lists_itself}, "context": {"Execution": execution}}
    (choice,) = machine["States"]["IsOneRunning"]["Choices"]
    is_one = computed(choice["Condition"], {"input": {"earlier": computed(question, known)}})
    assert (choice["Next"] if is_one else machine["States"]["IsOneRunning"]["Default"]) == follows


def computed(expression: str, states: dict[str, Any]) -> Any:
    """The value of an expression as Step Functions computes it, with `$states` bound."""
    asked = jsonata.Jsonata(expression.removeprefix("{%").removesuffix("%}"))
    frame = asked.create_frame()
    frame.bind("states", states)
    return asked.evaluate(None, frame)


def test_the_schedule_starts_the_state_machine_once_it_is_enabled(stack: Stack) -> None:
    (schedule,) = stack.of_type("AWS::Scheduler::Schedule").values()
    scheduler = stack.account.client("scheduler")
    scheduler.create_schedule(**schedule)
    made = scheduler.get_schedule(Name=schedule["Name"])
    assert (made["ScheduleExpression"], made["ScheduleExpressionTimezone"]) == ("cron(5 * * * ? *)", "UTC")
    assert made["Target"]["Arn"] == stack.resources["Cycle"]
    assert made["Target"]["RoleArn"].endswith(f":role/{stack.resources['ScheduleRole']}")
    assert made["State"] == "DISABLED"  # until everything else is there


def test_operators_hear_of_cycles_that_fail_are_late_or_do_not_happen(stack: Stack) -> None:
    watch, topic = stack.account.client("cloudwatch"), stack.resources["Operators"]
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    for name, properties in alarms.items():
        watch.put_metric_alarm(AlarmName=name, **properties)
    made = {alarm["AlarmName"]: alarm for alarm in watch.describe_alarms()["MetricAlarms"]}
    assert set(made) == {"CycleFailed", "CycleLate"}
    assert all(alarm["AlarmActions"] == [topic] for alarm in made.values())
    late = made["CycleLate"]
    assert late["Period"] * late["EvaluationPeriods"] == 90 * 60
    assert (late["MetricName"], late["Threshold"]) == ("ExecutionsSucceeded", 1.0)
    assert late["TreatMissingData"] == "breaching"
    counted = {
        one["MetricStat"]["Metric"]["MetricName"] for one in made["CycleFailed"]["Metrics"] if "MetricStat" in one
    }
    assert counted == {"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"}
    sns = stack.account.client("sns")
    (policy,) = stack.of_type("AWS::SNS::TopicPolicy").values()
    assert policy["Topics"] == [topic]
    sns.set_topic_attributes(
        TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(policy["PolicyDocument"])
    )
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "operators@example.com")


def test_operators_hear_of_the_cost(stack: Stack) -> None:
    (said,) = stack.of_type("AWS::Budgets::Budget").values()
    limit = said["Budget"]["BudgetLimit"]
    assert limit == {"Amount": 750, "Unit": "USD"}
    limit["Amount"] = str(limit["Amount"])  # a number in a template, a text in the interface
    budgets = stack.account.client("budgets")
    budgets.create_budget(AccountId="123456789012", **said)
    asked = {"AccountId": "123456789012", "BudgetName": said["Budget"]["BudgetName"]}
    found = budgets.describe_notifications_for_budget(**asked)["Notifications"]
    assert {(one["NotificationType"], one["Threshold"]) for one in found} == {("ACTUAL", 80), ("FORECASTED", 100)}


def test_mail_is_signed_for_the_domain(stack: Stack) -> None:
    (identity,) = stack.of_type("AWS::SES::EmailIdentity").values()
    assert identity == {"EmailIdentity": "example.com", "DkimAttributes": {"SigningEnabled": True}}
    mail = stack.account.client("sesv2")
    mail.create_email_identity(EmailIdentity=identity["EmailIdentity"])
    assert mail.get_email_identity(EmailIdentity="example.com")["IdentityType"] == "DOMAIN"
