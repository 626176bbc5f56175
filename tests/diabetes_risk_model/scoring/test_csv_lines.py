"""However a file is divided, each line is one row, and is read once."""

from collections.abc import Callable

import pyarrow as pa
import pytest

from diabetes_risk_model.data.errors import DataError
from diabetes_risk_model.scoring import csv_lines
from diabetes_risk_model.scoring.csv_lines import count_lines, read_blocks, read_header
from diabetes_risk_model.scoring.inputs import DataFile

Write = Callable[[bytes], DataFile]
Rows = list[tuple[str | None, ...] | str]

TROUBLE = b'a,b\n1,2\n\n"3",4\r\n5\n6,7,8\n"9\n10,11"\n\xff,12\n13,\r14\n"x"y,1\n,\n15,16'


def _read(file: DataFile, step: int) -> Rows:
    header = read_header(file)
    rows: Rows = []
    for start in range(header.size, file.size, step):
        before = len(rows)
        stop = min(start + step, file.size)
        for block in read_blocks(file, header.columns, header.columns, start, stop):
            columns = zip(*(column.cast(pa.binary()).to_pylist() for column in block.columns.values()), strict=True)
            texts = [tuple(value and value.decode(errors="replace") for value in row) for row in columns]
            rows += [block.broken.get(number, row) for number, row in enumerate(texts)]
        assert count_lines(file, start, stop) == len(rows) - before
    return rows


@pytest.mark.parametrize("content", [TROUBLE, TROUBLE + b"\n", b"a,b\n1,2\n3,4\n5,6\n", b"a,b\r\n1,2\r\n3,4", b"a,b\n"])
def test_a_file_may_be_divided_anywhere(data_file: Write, content: bytes) -> None:
    file = data_file(content)
    whole = _read(file, 10_000)
    for step in range(1, len(content)):
        assert _read(file, step) == whole


def test_each_line_that_is_no_row_has_its_problem(data_file: Write) -> None:
    rows = _read(data_file(TROUBLE), 10_000)
    problems = {number: row for number, row in enumerate(rows) if isinstance(row, str)}
    assert sorted(problems) == [1, 3, 4, 5, 8, 9]
    assert problems[1] == "expected 2 fields; found 0"
    assert problems[4] == "expected 2 fields; found 3"
    assert "expected fields with commas between them" in problems[5]
    assert [rows[0], rows[2], rows[10], rows[11]] == [("1", "2"), ("3", "4"), (None, None), ("15", "16")]


def test_trouble_in_one_line_does_not_change_how_others_are_read(data_file: Write) -> None:
    good = b'1,2\n"3",4\r\n,\n 5,"6,7"\n"8""9",x\n'
    alone = _read(data_file(b"a,b\n" + good), 10_000)
    assert _read(data_file(b"a,b\n" + good + b"1\n"), 10_000)[:-1] == alone


def test_a_long_file_is_read_in_blocks(data_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"a,b\n" + b"".join(b"%d,%d\n" % (number, number) for number in range(2_000))
    whole = _read(data_file(content), 1 << 30)
    monkeypatch.setattr(csv_lines, "_BLOCK_BYTES", 100)
    monkeypatch.setattr(csv_lines, "_SAMPLE_BYTES", 7)
    assert _read(data_file(content), 1_000) == whole
    assert len(whole) == 2_000


def test_a_line_without_end_is_refused(data_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_lines, "_LONGEST_LINE", 200)
    monkeypatch.setattr(csv_lines, "_BLOCK_BYTES", 200)
    monkeypatch.setattr(csv_lines, "_SAMPLE_BYTES", 50)
    file = data_file(b"a,b\n" + b"1" * 1_000 + b",2\n3,4\n")
    for step in (10, 100, 10_000):
        with pytest.raises(DataError, match="a line of more than 200 bytes"):
            _read(file, step)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "names no column"),
        (b"\n1,2\n", "names no column"),
        (b"a,a\n1,2\n", "or one twice"),
        (b"\xff\xfea,b\n", "no header"),
        (b'"a,b\n', "no header"),
    ],
)
def test_a_header_that_is_none_is_refused(data_file: Write, content: bytes, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_header(data_file(content))


def test_a_byte_order_mark_belongs_to_no_name(data_file: Write) -> None:
    header = read_header(data_file(b"\xef\xbb\xbfa,b\r\n1,2\r\n"))
    assert (header.columns, header.size) == (("a", "b"), 8)
