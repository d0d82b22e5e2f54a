"""Tables as CSV, and what is said of those that spreadsheets write in another way."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from tests.errors import message_of
from training.judging.tables import Line, read_lines

NEEDED = ("sys_name", "m_eV")


def read(path: Path, text: str | bytes) -> list[Line]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_lines(path, NEEDED)[1]


def spreadsheet() -> bytes:
    """The beginning of a real one: an archive of XML."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>\n" * 5)
    return data.getvalue()


def test_spaces_empty_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeff\r\nsys_name, m_eV ,x\r\n\r\na , 0.25,\r\nb,2e-1,y\r\n"
    lines = read(tmp_path / "t.csv", text)
    assert [(line["sys_name"], line.number_in("m_eV"), line["x"]) for line in lines] == [
        ("a", 0.25, ""),
        ("b", 0.2, "y"),
    ]
    assert [line.number for line in lines] == [4, 5]


@pytest.mark.parametrize("first", ["sys_name;m_eV", "sys_name\tm_eV", "sys_name|m_eV", "sep=;"])
def test_other_separators_than_commas(first: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    assert message_of(lambda: read(path, f"{first}\na;0,2\n")) == (
        f"{path}: the first line is {first!r}: put commas between columns and write decimals "
        "with a point"
    )


def test_a_comment_on_top(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    assert message_of(lambda: read(path, "# mine; of May\nsys_name,m_eV\na,1\n")) == (
        f"{path}: the first line is '# mine; of May', which has to name the columns"
    )


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ("Sys_Name,m_eV", "no such column: the first line is 'Sys_Name,m_eV'; nearest is 'Sys_"),
        ("a;b,c", "no such column: the first line is 'a;b,c'"),
        ("a" * 400, f"no such column: the first line is '{'a' * 54}...{'a' * 26}'"),
    ],
)
def test_columns_that_are_missing(first: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    line = message_of(lambda: read(path, f"{first}\nsys_name,m_eV\na,1\n"))
    assert line.startswith(f"{path}, field sys_name: ")
    assert said in line
    # Also where there is nothing below: the first line is looked at first.
    assert said in message_of(lambda: read(path, first))


@pytest.mark.parametrize("data", [spreadsheet(), b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"])
def test_a_spreadsheet_is_no_table(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    assert message_of(lambda: read(path, data)) == f"{path}: is a spreadsheet: save it as CSV"


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-be"])
def test_unicode_text_of_a_spreadsheet(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    data = ("\ufeff" * codec.endswith("be") + "name,x\na,1\n").encode(codec)
    line = message_of(lambda: read(path, data))
    assert line == f"{path}: is text in UTF-16: save it as CSV in UTF-8"


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ('"0,2"', "expected a number, got '0,2': write decimals with a point"),
        ('"-,25"', "expected a number, got '-,25': write decimals with a point"),
        ('"1,000,000"', "expected a number, got '1,000,000'"),
        ("0.2 eV", "expected a number, got '0.2 eV'"),
        ("1_0", "expected a number, got '1_0'"),
        ("-inf", "'-inf' is NaN or infinite"),
    ],
)
def test_what_is_no_number(cell: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    (line,) = read(path, f"sys_name,m_eV\na,{cell}\n")
    place = f"{path}, record 'a' (line 2), field m_eV"
    assert message_of(lambda: line.number_in("m_eV")) == f"{place}: {said}"


@pytest.mark.parametrize("text", ["", "\n , \n", "sys_name,m_eV\n"])
def test_a_table_without_rows(text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    assert message_of(lambda: read(path, text)) == f"{path}: the table has no rows"
