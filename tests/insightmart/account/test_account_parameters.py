"""Parameters of an installation: what cannot be is refused with its place, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from insightmart.account.__main__ import main, outdated_files
from insightmart.account.account_parameters import PARAMETERS
from insightmart.settings import PROJECT

KEY = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"


def test_the_files_of_the_repository_say_what_the_definitions_say() -> None:
    assert outdated_files() == {}


def test_an_installation_has_files_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (PROJECT / PARAMETERS).read_text(encoding="utf-8")
    text = text.replace("  # usd_a_credit: the price", "  usd_a_credit: 3.90 # the price").replace(
        "[192.0.2.0/24]", "[203.0.113.7/32]"
    )
    text = text.replace("PIPELINE: {role: PIPELINE,", f"PIPELINE: {{public_key: {KEY}, role: PIPELINE,")
    own, folder = tmp_path / "own.yml", tmp_path / "out"
    own.write_text(text.replace("notify_users: []", "notify_users: [JANE]"), encoding="utf-8")
    assert main([str(own), str(folder)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 7
    written = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert f"ALTER USER INSIGHTMART_PIPELINE SET RSA_PUBLIC_KEY = '{KEY}';" in written["1_roles.sql"]
    assert "RSA_PUBLIC_KEY_2" not in written["1_roles.sql"]
    assert "ALLOWED_IP_LIST = ('203.0.113.7/32')" in written["4_logins.sql"]
    assert "CREDIT_QUOTA = 4153 NOTIFY_USERS = (JANE)" in written["5_budget.sql"]
    assert main([str(own), str(folder)]) == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("SNOWFLAKE_CREDIT_USD", "2.5")
    assert main([str(own), str(folder)]) == 2
    assert "usd_a_credit is 3.9, and SNOWFLAKE_CREDIT_USD is 2.5: leave one of them out" in capsys.readouterr().err
    own.write_text(own.read_text(encoding="utf-8").replace("  usd_a_credit: 3.90", "  #"), encoding="utf-8")
    assert main([str(own), str(folder)]) == 0
    assert "CREDIT_QUOTA = 6480 NOTIFY_USERS = (JANE)" in (folder / "5_budget.sql").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("share_percent: 50", "share_percent: 60", "the shares of the warehouses are not 100 percent together"),
        ("size: MEDIUM", "size: HUGE", "warehouses.TRANSFORM.size"),
        ("[192.0.2.0/24]", "[0.0.0.0/0]", "keeps nobody out"),
        ("[192.0.2.0/24]", "[]", "network.allowed"),
        ("[192.0.2.0/24]", "[192.0.2.1/24]", "network.allowed.0"),
        ("usd_a_month: 18000", "usd_a_month: 0", "budget.usd_a_month"),
        ("role: REPORTER", "role: READER", "no role READER, which user TABLEAU has"),
        ("role: PIPELINE,", "public_key: -----BEGIN, role: PIPELINE,", "users.PIPELINE.public_key"),
        ("warehouse: REPORT,", "warehouse: BIG,", "user TABLEAU has a warehouse BIG that is not stated"),
        ("sqlmesh__CORE: {transient: true", "sqlmesh__CORE: {transient: true, keeps_days: 7", "keeps_days, or that it"),
        ("  RAW: {keeps_days: 7", "  'RAW\"; DROP DATABASE X': {keeps_days: 7", "schemas"),
        ("budget:", "budgets:", "Field required"),
    ],
)
def test_what_cannot_be_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, cause: str
) -> None:
    text = (PROJECT / PARAMETERS).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "own.yml").write_text(text.replace(old, new, 1), encoding="utf-8")
    assert main([str(tmp_path / "own.yml"), str(tmp_path / "out")]) != 0
    told = capsys.readouterr().err
    assert cause in told
    assert told.count("\n") <= 2
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there_and_a_missing_folder_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere.yml", "out"]) != 0
    assert "nowhere.yml" in capsys.readouterr().err
    assert main([str(PROJECT / PARAMETERS), str(PROJECT / "README.md")]) != 0
    told = capsys.readouterr().err
    assert "README.md: File exists" in told
    assert told.count("\n") == 1
    assert main(["nowhere.yml"]) != 0
    assert "a file of parameters and a folder" in capsys.readouterr().err
