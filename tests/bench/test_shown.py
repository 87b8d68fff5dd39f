"""How measurements are shown."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from bench.shown import Bar, spread, write_chart


def test_a_spread_is_the_median_with_the_lowest_and_the_highest() -> None:
    assert spread([3.0, 1.0, 8.26]) == "3.0 (1.0-8.3)"


def test_bars_are_as_long_as_their_values_and_names_are_texts(tmp_path: Path) -> None:
    file = tmp_path / "charts" / "one.svg"
    write_chart(
        file, "Seconds & rows", [Bar("a <b>", 1, "1 s"), Bar("c", 4, "4 s", group=1)], limit=2, limit_name="aim"
    )
    picture = ElementTree.fromstring(file.read_text())
    space = "{http://www.w3.org/2000/svg}"
    lengths = [float(bar.attrib["width"]) for bar in picture.iter(f"{space}rect") if bar.attrib["width"] != "100%"]
    assert lengths == [107.5, 430.0]
    (line,) = picture.iter(f"{space}line")
    assert float(line.attrib["x1"]) == 190 + 430 / 2
    texts = [text.text for text in picture.iter(f"{space}text")]
    assert texts == ["Seconds & rows", "a <b>", "1 s", "c", "4 s", "aim"]
