"""What may be declared about a store's files, and what it does to values that can be read two ways."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from ingestion.stores.csv.declared import DeclarationError, Declared, read_declarations
from insightmart.settings import load_settings
from tests.support.csv_files import HEADER, REFERENCE, REFERENCE_HEADER, TILLS, TILLS_HEADER, outcome

STATED = """
7: {encoding: windows-1250, decimal: comma}
14: {timezone: America/Phoenix, lacks: [on_order]}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "declared.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_each_store_has_what_is_declared_for_it(tmp_path: Path) -> None:
    assert read_declarations(written(tmp_path, STATED)) == {
        7: Declared(encoding="cp1250", decimal_mark=","),
        14: Declared(timezone="America/Phoenix", lacks=frozenset({"on_order"})),
    }


def test_the_projects_own_file_is_in_order_and_a_file_of_comments_declares_nothing(tmp_path: Path) -> None:
    assert read_declarations(load_settings().store_declarations) == {}
    assert read_declarations(written(tmp_path, "# nothing yet")) == {}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("[9]", "not a mapping of store numbers"),
        ("9: [", "while parsing a flow node"),
        ("9: {encoding: cp932}\n9: {encoding: cp1250}", "9 stands there twice"),
        ("nine: {encoding: cp932}", "store nine: is no number of a store"),
        ("0: {encoding: cp932}", "store 0: is no number of a store"),
        ("9:", "store 9: declares nothing; known are encoding, decimal, timezone, lacks"),
        ("9: {encodng: cp932}", "store 9: 'encodng' is not known, only encoding, decimal, timezone, lacks"),
        ("9: {encoding: polish}", "store 9: encoding 'polish' is not known"),
        ("9: {encoding: rot13}", "store 9: encoding 'rot13' is not known"),
        ("9: {encoding: [cp932]}", "is not known"),
        ("9: {decimal: ';'}", "store 9: decimal ';' is neither comma nor point"),
        ("9: {timezone: EST}", "store 9: timezone 'EST' is no IANA zone of a region, such as America/New_York"),
        ("9: {timezone: Mars/Base}", "store 9: timezone 'Mars/Base' is no IANA zone of a region"),
        ("9: {lacks: sku}", "store 9: lacks 'sku': only on_order may be missing from a file"),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused_with_its_store(tmp_path: Path, text: str, cause: str) -> None:
    with pytest.raises(DeclarationError) as error:
        read_declarations(written(tmp_path, text))
    assert cause in str(error.value)
    assert "declared.yml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_of_declarations_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="No such file"):
        read_declarations(tmp_path / "nowhere.yml")


@pytest.mark.parametrize(
    ("mark", "cell", "value"),
    [
        (",", "1,234", "1.234"),
        (",", "1.234", "1234"),
        (",", "12.50", "12.5"),
        (",", "1.234,5", "1234.5"),
        (".", "1,234", "1234"),
        (".", "1.234", "1.234"),
        (".", "12,50", "12.5"),
    ],
)
@pytest.mark.parametrize("separator", [",", ";"])
def test_a_declared_decimal_mark_decides_what_could_be_read_both_ways(
    mark: str, cell: str, value: str, separator: str
) -> None:
    row = ["7", "2026-03-05", "3", f'"{cell}"', '"0,50"', "0", "0"]
    content = TILLS_HEADER.replace(",", separator) + separator.join(row) + "\n"
    found = outcome(content, TILLS, Declared(decimal_mark=mark))
    assert [(one["gross_sales"], one["discounts"]) for one in found.rows] == [(Decimal(value), Decimal("0.5"))]


def reference(zone: str) -> str:
    return f"{REFERENCE_HEADER}7,Seven,city,West,Phoenix,AZ,US,{zone},2019-01-01,,900,x\n"


@pytest.mark.parametrize("zone", ["MST", "Etc/GMT+7", "UTC", "US Mountain Standard Time", "-07:00", ""])
def test_a_declared_zone_stands_for_one_without_a_region(zone: str) -> None:
    declared = Declared(timezone="America/Phoenix")
    assert [row["timezone"] for row in outcome(reference(zone), REFERENCE, declared).rows] == ["America/Phoenix"]
    [(_, column, rule)] = outcome(reference(zone), REFERENCE).rejects
    assert (column, rule.split("_")[0]) == ("timezone", "timezone")


@pytest.mark.parametrize("zone", ["US/Eastern", "Asia/Calcutta", "America/New_York", "GB", "Africa/Abidjan"])
def test_a_zone_of_a_region_is_believed_also_by_its_old_name(zone: str) -> None:
    for declared in (Declared(), Declared(timezone="America/Phoenix")):
        assert [row["timezone"] for row in outcome(reference(zone), REFERENCE, declared).rows] == [zone]


def test_only_the_store_that_lacks_a_column_by_declaration_may_leave_it_out() -> None:
    found = outcome(HEADER + "7,A-1,5,,2026-03-05T10:15:00Z\n", declared=Declared(lacks=frozenset({"on_order"})))
    assert found.rows[0]["on_order"] is None  # an empty cell is the store's own "no value"
    assert found.file.notes == ()
