# ruff: noqa: RUF001 - characters that look like others are what this is about
"""Whether text that is no UTF-8 may be Latin-1, into which any bytes can be decoded.

Shift_JIS, windows-1250 or Cyrillic bytes are characters of Latin-1 as well; what gives them away is how they stand:
letters beside letters that no language of Western Europe writes together (``western.yml``), symbols inside words.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

_LANGUAGES = Path(__file__).with_name("western.yml")
_ANY = "abcdefghijklmnopqrstuvwxyz"
# Countries, ISO 3166, whose languages Latin-1 cannot write, and Iceland, whose letters are the bytes of Turkish ones.
NOT_WESTERN = {
    *("AE", "AL", "AM", "AZ", "BA", "BG", "BY", "BH", "CN", "CY", "CZ", "DZ", "EG", "GE", "GR", "HK", "HR", "HU", "IL"),
    *("IN", "IQ", "IR", "IS", "JO", "JP", "KR", "KW", "KZ", "LB", "LK", "LT", "LV", "MD", "ME", "MK", "MO", "OM", "PK"),
    *("PL", "QA", "RO", "RS", "RU", "SA", "SI", "SK", "SY", "TH", "TR", "TW", "UA", "UZ", "VN", "XK", "YE"),
}
# Words that no language explains may be names from elsewhere: one in twenty of them, among many others, is borne.
_WORDS_A_STRANGER = 20

_LETTER = "[A-Za-zÀ-ÖØ-öø-ÿŠšŽžŒœŸ]"
_SPACED = bytes.maketrans(b',;|"\xa0', b"     ")  # what stands between tokens, beside white space
# A no-break space is sound in a number; between letters it is a letter of DOS: M\xa0laga
_NO_BREAK_INSIDE = re.compile(rb"[A-Za-z]\xa0[a-z]")
_WORD = re.compile(f"{_LETTER}+")
_SYMBOL = re.compile(r"[^\x00-\x7f]")
_ELISION = (
    r"(?:\b(?:[CcDdJjLlMmNnOoSsTt]|[Qq]u|[Aa]ujourd|[Pp]resqu|[Gg]rand|[Ss]ant|(?:[DdNnSsQq]u?[ae])?ll)’(?=\w)|’[st]\b)"
)
# Symbols where Western European text has them; whatever else is no letter and no ASCII has no business there.
_SOUND_SYMBOLS = re.compile(
    rf"{_ELISION}"
    rf"|(?<!{_LETTER})[«‹“„‚‘’–—•†§€£¥¢±×÷½¼¾]"
    rf"|(?<=\d)[»›”“’‘–—…€£¥¢±×÷½¼¾²³¹‰](?!{_LETTER})"
    rf"|[»›”“’‘–—…®™©†](?!{_LETTER})"
    rf"|(?<!{_LETTER})(?:[dckmµ]?m[²³]|µ[mgFAVslL])(?!{_LETTER})"
    rf"|(?<![^\dnN])°(?:[CF]\b)?(?!{_LETTER})"
    rf"|(?<=[\dNnMmDd.])[ºª](?!{_LETTER})"
    rf"|(?<!{_LETTER})[¿¡](?=[A-Z])"
    rf"|(?<=[DdLl])´(?={_LETTER})"
    rf"|(?<=l)·(?=l)|(?<!{_LETTER})·(?!{_LETTER})"
)
_SIDE_BY_SIDE = re.compile(r"[^\x00-\x7f\w][^\x00-\x7f\w]")  # two symbols: halves of characters of two bytes
_CASE_TURNS = re.compile(
    r"[a-zß-öø-ÿšžœ][À-ÖØ-ÞŠŽŒŸ]|[ß-öø-ÿšžœ][A-Z]"
)  # a capital inside a word, beside such a letter


def may_be_western(text: bytes) -> bool:
    """Whether the characters of ``text`` that are no ASCII make sense in windows-1252, the Latin-1 that is in use."""
    if _NO_BREAK_INSIDE.search(text):
        return False
    words: set[str] = set()
    for token in set(text.translate(_SPACED).split()):
        if token.isascii():
            continue
        try:
            decoded = token.decode("cp1252")
        except UnicodeDecodeError:
            return False
        if "ÿþ" in decoded or "þÿ" in decoded or not _has_sound_symbols(decoded):
            return False
        words.update(word for word in _WORD.findall(decoded) if not word.isascii())
    strangers = sum(not is_word(word) for word in words)
    return strangers * _WORDS_A_STRANGER <= len(words)


def is_word(word: str) -> bool:
    """Whether a language of Western Europe explains all letters of a word, by their neighbours."""
    if _CASE_TURNS.search(word):
        return False
    edged = f"^{word.lower()}$"
    places = [place for place, letter in enumerate(edged) if not letter.isascii()]
    return any(
        all(
            edged[place] in letters
            and edged[place - 1] in letters[edged[place]][0]
            and edged[place + 1] in letters[edged[place]][1]
            for place in places
        )
        for letters in _NEIGHBOURS
    )


def _has_sound_symbols(token: str) -> bool:
    if _SIDE_BY_SIDE.search(token):
        return False
    left = _SOUND_SYMBOLS.sub("", token)
    return all(symbol.isalpha() and symbol not in "ªºµƒˆ" for symbol in _SYMBOL.findall(left))


def _neighbours() -> list[dict[str, tuple[frozenset[str], frozenset[str]]]]:
    """By language and letter what may stand before it, and what after it."""
    declared: dict[str, dict[str, list[str]]] = yaml.safe_load(_LANGUAGES.read_text(encoding="utf-8"))
    return [
        {
            letter: (frozenset(before.replace("*", _ANY)), frozenset(after.replace("*", _ANY)))
            for letter, (before, after) in letters.items()
        }
        for letters in declared.values()
    ]


_NEIGHBOURS = _neighbours()
