"""The parts of `make review`: names, commands that fail, and the comment that comes of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

from review.__main__ import main
from review.steps import (
    MARK,
    NOTHING_CHANGES,
    REFUSED,
    StepFailed,
    Steps,
    comment,
    environment_name,
    refusal_text,
    review_text,
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("pr_12", "pr_12"),
        ("feature/Charge-more (really)", "feature_charge_more_really"),
        ("prod", "prod_"),
        ("///", "change"),
        ("x" * 99, "x" * 40),
    ],
)
def test_an_environment_is_named_after_the_branch(text: str, name: str) -> None:
    assert environment_name(text) == name


def test_a_command_runs_with_the_code_of_its_project_and_its_failure_ends_the_review(tmp_path: Path) -> None:
    steps = Steps(tmp_path / "log", {"INSIGHTMART_HOME": "home"})
    (tmp_path / "insightmart.py").write_text("print('the base')", encoding="utf-8")
    said = steps.run(
        "code", [sys.executable, "-c", "import insightmart, os; print(os.environ['INSIGHTMART_HOME'])"], tmp_path
    )
    assert said == "the base\nhome\n"
    program = (
        f"import sys; print('refused by ```gate```\\n  {REFUSED}gate.sales: few `x`', file=sys.stderr); sys.exit(1)"
    )
    bad = [sys.executable, "-c", program]
    assert steps.run("may fail", bad, tmp_path, may_end_with=(0, 1)) == ""
    with pytest.raises(StepFailed) as failed:
        steps.run("The change, through the gates", bad, tmp_path)
    assert failed.value.lines == ["refused by ```gate```", f"  {REFUSED}gate.sales: few `x`"]
    text = refusal_text(failed.value)
    (code,) = [token for token in MarkdownIt().parse(text) if token.type == "fence"]
    assert code.content == f"refused by ```gate```\n  {REFUSED}gate.sales: few `x`\n"
    assert "\n- `gate.sales: few 'x'`\n" in text
    assert "The change, through the gates: it failed." in text
    ours = refusal_text(StepFailed("Tests", ["x Unit tests", "insightmart: pr_1 is not promoted: 8 unit tests failed"]))
    assert "\n- `pr_1 is not promoted: 8 unit tests failed`\n" in ours
    assert "exit code 1" in (tmp_path / "log").read_text(encoding="utf-8")


def test_the_comment_says_what_was_found_and_on_what() -> None:
    found = comment(
        review_text("\n### InsightMart: `pr_1 may be promoted`\n"), {"Base": "0123", "sandbox": "tiny, 24 hours"}
    )
    assert found.startswith(f"{MARK}\n### InsightMart: `pr_1 may be promoted`\n")
    assert "Base 0123; sandbox tiny, 24 hours." in found
    assert NOTHING_CHANGES in review_text("pr_1 is what prod is\n")


def test_a_base_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--base", "no-such-branch", "--out", str(tmp_path / "out")])
    assert (done.exit_code, "git merge-base" in done.output) == (1, True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == []
