# ruff: noqa: E501, RUF001 - lists of names, and characters that look like others are what this is about
"""Text that is no UTF-8: Latin-1 loads where it is surely that, anything else is declared or waits in quarantine.

The measure is a corpus of names of towns, people and products, each list written in the encodings of its countries.
Right is the text itself, or quarantine; wrong is other text.
"""

from __future__ import annotations

from itertools import chain

import pytest

from ingestion.stores.csv.declared import Declared
from ingestion.stores.csv.decode import UntrustedFileError, as_utf8
from ingestion.stores.csv.western import is_word, may_be_western
from tests.support.csv_files import HEADER, REFERENCE, REFERENCE_HEADER, fault, outcome

WESTERN = {
    "German": "Köln|München|Düsseldorf|Straße|Größe|Käthe Müller|Jürgen Weiß|Brühl|Übach-Palenberg|Öhringen|Fußball|Gänsefüßchen|Nürnberg|Lübeck|Fön 2°|Maß 5 m²|„Süßes“|Äpfel",
    "French": "Orléans|Besançon|Zoë Lefèvre|François|Crème brûlée|Île-de-France|Nîmes|Hélène|Noël|Cœur de bœuf|l’Étoile|Pâté|garçon|Évreux|Château-Thierry|Gérard Dépôt|Maïs n° 5|Où",
    "Spanish": "España|Logroño|Núñez|Ordóñez|Córdoba|Málaga|León|Íñiguez|Pingüino|¡Oferta!|¿Qué?|Jamón ibérico|Piñata|Peñíscola|Cádiz|Iñaki|3ª planta|Nº 4",
    "Italian": "Città|Caffè|Però|Lunedì|Virtù|Perché|Forlì|Cantù|Nicolò|Metà prezzo|Tiramisù|Mondovì",
    "Dutch": "Zoë|Daniël|België|Curaçao|Ijsbrandt Coëlho|Geïllustreerd|Patiënt|Hé|Efteling ’s|Oriënt|Reünie|Zeeën",
    "Portuguese": "São Paulo|Conceição|João|Açúcar|Pão de queijo|Informações|Ação|Grão|Avô|Irmã|Guimarães|Camões|Três Corações|Ilhéus|Óbidos|Côa",
    "Swedish": "Malmö|Göteborg|Åsa|Växjö|Ängelholm|Örebro|Håkan Sjöström|Smörgås|Luleå|Västerås|Räksmörgås|Å",
    "Danish": "Ærø|Århus|Køge|Smørrebrød|Næstved|Søren|Rødgrød|Ølstykke|Ålborg|Æbleskiver|Nexø|Frørup",
    "Norwegian": "Tromsø|Ålesund|Bodø|Lærdal|Bjørn Sæther|Røros|Håvard|Kjøttkaker|Ø|Brønnøysund|Kåre|Sør-Trøndelag",
    "Finnish": "Jyväskylä|Hämeenlinna|Töölö|Äänekoski|Seinäjoki|Päivi Mäkelä|Pöytä|Sähkö|Yöttömän yön|Kylmäkoski|Nöjd|Öljy",
}  # fmt: skip
OTHERS = {
    "Polish": ("cp1250 iso8859-2", "Łódź|Gdańsk|Wrocław|Częstochowa|Poznań|Toruń|Świętochłowice|Żywiec|Ćwikła|Paweł Wójcik|Małgorzata|Żółty ser|Śmietana|Kraków|Bydgoszcz ś|Gęś|Białystok|Mąka"),
    "Czech": ("cp1250 iso8859-2", "Plzeň|České Budějovice|Dvořák|Děčín|Jiří Novák|Žižkov|Třebíč|Kroměříž|Růžena|Ústí nad Labem|Mléko čerstvé|Hradec Králové|Česká Třebová|Příbram|Řepa|Ďáblice|Těšín|Kůže"),
    "Hungarian": ("cp1250 iso8859-2", "Győr|Hódmezővásárhely|Erdő|Gyűrű|Nyíregyháza|Kőszeg|Tűzoltó|Kenőcs|Szőlő|Főtér|Péter Szűcs|Mezőkövesd"),
    "Romanian": ("cp1250 iso8859-2", "Iaşi|Braşov|Timişoara|Constanţa|Bacău|Brăila|Târgu Mureş|Ştefan Popa|Brânză|Piteşti|Galaţi|Făgăraş"),
    "Croatian": ("cp1250 iso8859-2", "Čakovec|Šibenik|Đakovo|Požega|Ivanić-Grad|Križevci|Međimurje|Žarko Kovačević|Čvarci|Poreč|Đurđevac|Karlovački"),
    "Turkish": ("cp1254 iso8859-9", "İstanbul|Beşiktaş|Diyarbakır|Şişli|Eskişehir|Iğdır|Muğla|Ayşe Yılmaz|Çağla|Kadıköy|Şeker|Aydın"),
    "Lithuanian": ("cp1257 iso8859-13", "Šiauliai|Panevėžys|Kėdainiai|Šakiai|Žąsys|Tauragė|Būtingė|Ąžuolas|Ramučiai|Mažeikiai|Ūla|Jonavą"),
    "Russian": ("cp1251 koi8-r cp866 iso8859-5", "Москва|Новосибирск|Чай|Иван Петров|Хлеб|Сыр|Казань|Ёлка|Щука|Ярославль|Мясо|Юг"),
    "Greek": ("cp1253 iso8859-7", "Αθήνα|Θεσσαλονίκη|Γάλα|Ψωμί|Πάτρα|Ηράκλειο|Τυρί|Νίκος|Ελιές|Κρήτη|Ύδρα|Λάρισα"),
    "Japanese": ("cp932 euc-jp", "東京|点検|大阪市|醤油|ソース|ラーメン|北海道|田中太郎|りんご|ｱｲｽ|京都駅前店|牛乳"),
    "Chinese": ("gb18030 big5", "上海|北京|台北|牛奶|面包|香港|王小明|茶葉|西安|大米|天津|苹果"),
    "Korean": ("cp949", "서울|부산|김치|대구|우유|라면|인천|이영희|사과|광주|쌀|빵"),
    "German of DOS or a Mac": ("cp850 mac-roman", "Köln|München|Düsseldorf|Größe|Käthe|Jürgen|Brühl|Nürnberg|Lübeck|Gänse|Würzburg|Süßes"),
}  # fmt: skip


def in_files(texts: list[str], size: int) -> list[list[str]]:
    return [texts[start : start + size] for start in range(0, len(texts), size)]


def as_read(texts: list[str], encoding: str) -> list[str] | None:
    """What a file with these lines is read as; None where it is quarantined."""
    try:
        content, _ = as_utf8("\n".join(["store_id,sku", *texts, ""]).encode(encoding, "ignore"))
    except UntrustedFileError as fault:
        assert fault.rule_id in ("encoding_undeclared", "undecodable")
        return None
    return content.decode().split("\n")[1:-1]


@pytest.mark.parametrize("language", WESTERN)
@pytest.mark.parametrize("size", [1, 6, 99])
def test_western_european_text_in_latin_1_loads_as_before(language: str, size: int) -> None:
    for texts in in_files(WESTERN[language].split("|"), size):
        assert as_read(texts, "cp1252") == texts


@pytest.mark.parametrize(
    ("language", "encoding"), [(name, one) for name, (several, _) in OTHERS.items() for one in several.split()]
)
def test_a_file_in_another_encoding_is_never_read_as_other_text(language: str, encoding: str) -> None:
    texts = OTHERS[language][1].split("|")
    for size in (6, 99):
        for some in in_files(texts, size):
            assert as_read(some, encoding) is None


def test_of_names_on_their_own_few_are_read_as_other_text() -> None:
    """The limit: one name is little to judge by, above all of Czech, Polish, Croatian and of German without its umlauts.

    A reference is judged by its country as well, and of six names none is read as other text.
    """
    read, wrong = 0, set()
    for several, texts in OTHERS.values():
        for text in texts.split("|"):
            for encoding in several.split():
                written = text.encode(encoding, "ignore")
                if written.isascii():
                    continue
                read += 1
                found = as_read([text], encoding)
                if found is not None and found != [text]:
                    wrong.add((text, encoding))
    assert (read, len(wrong)) == (348, 21), sorted(wrong)


def test_thousands_by_a_no_break_space_are_western_and_one_between_letters_is_not() -> None:
    assert may_be_western("1\u00a0234,Köln,12\u00a0€".encode("cp1252"))
    assert not may_be_western("Málaga".encode("cp850"))


def test_all_lists_together_are_western() -> None:
    every = list(chain.from_iterable(texts.split("|") for texts in WESTERN.values()))
    assert may_be_western("\n".join(every).encode("cp1252"))


def test_one_stranger_among_twenty_known_words_is_borne_and_two_are_not() -> None:
    known = [text for text in WESTERN["German"].split("|") + WESTERN["Swedish"].split("|") if " " not in text][:19]
    assert may_be_western("\n".join([*known, "Reahûsk"]).encode("cp1252"))
    assert not may_be_western("\n".join([*known, "Reahûsk", "Åàk"]).encode("cp1252"))


@pytest.mark.parametrize("content", [b"7,K\xf6ln \xff\xfe,5,2,", b"7,\xff\xfe\xf6,5,2,", b"7,K\xf6ln\xfe\xff,5,2,"])
def test_a_mark_of_byte_order_inside_latin_1_is_quarantined(content: bytes) -> None:
    assert fault(HEADER.encode() + content + b"2026-03-05T10:15:00Z\n" * 1) == "encoding_undeclared"


@pytest.mark.parametrize("word", ["£ódŸ", "Gdañsk", "Ìîñêâà", "“_ŒŸ", "Beþiktaþ", "Gyõr", "Kšln", "ÜÇ"])
def test_what_other_encodings_look_like_is_no_word(word: str) -> None:
    assert not is_word(word) or not may_be_western(word.encode("cp1252"))


@pytest.mark.parametrize(("city", "encoding"), [("Łódź", "windows-1250"), ("点検", "shift_jis"), ("Москва", "koi8-r")])
def test_a_declared_encoding_is_read_exactly_and_noted(city: str, encoding: str) -> None:
    row = f"7,{city},city,East,{city},,PL,Europe/Warsaw,2019-01-01,,900,x\n"
    content = (REFERENCE_HEADER + row).encode(encoding)
    assert fault(content, REFERENCE) == "encoding_undeclared"
    found = outcome(content, REFERENCE, Declared(encoding=encoding))
    assert [(one["name"], one["city"]) for one in found.rows] == [(city, city)]
    assert found.file.notes == (f"read as {encoding}, as declared",)
    assert outcome(REFERENCE_HEADER + row, REFERENCE, Declared(encoding=encoding)).rows == found.rows  # UTF-8 all along


def test_text_that_is_not_in_the_declared_encoding_is_quarantined() -> None:
    content = REFERENCE_HEADER.encode() + b"7,\x81\x20,city,East,x,,JP,Asia/Tokyo,2019-01-01,,900,x\n"
    with pytest.raises(UntrustedFileError, match="not shift_jis"):
        outcome(content, REFERENCE, Declared(encoding="shift_jis"))


def test_a_reference_of_a_country_that_writes_no_latin_1_is_quarantined() -> None:
    row = "7,Beřkovice,city,x,y,,{},Europe/Prague,2019-01-01,,900,x\n"  # a Danish word, by its letters in Latin-1
    for country in ("CZ", " cz "):
        assert fault((REFERENCE_HEADER + row.format(country)).encode("cp1250"), REFERENCE) == "encoding_undeclared"
    danish = (REFERENCE_HEADER + row.format("DK").replace("ř", "ø")).encode("latin-1")
    assert outcome(danish, REFERENCE).rows[0]["name"] == "Beøkovice"
