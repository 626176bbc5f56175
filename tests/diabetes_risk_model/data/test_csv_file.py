"""Reading a file: every way in which it can be no CSV is one clear error."""

import hashlib
import os
from pathlib import Path

import pytest

from diabetes_risk_model.data.csv_file import read_csv
from diabetes_risk_model.data.errors import SurveyFileError


def _write(folder: Path, content: bytes) -> Path:
    path = folder / "survey.csv"
    path.write_bytes(content)
    return path


def test_cells_are_the_text_of_the_file_and_the_digest_is_that_of_its_bytes(tmp_path: Path) -> None:
    content = b"a,b\n1.0,NA\n,x\n"
    frame, sha256 = read_csv(_write(tmp_path, content))
    assert frame.to_numpy().tolist() == [["1.0", "NA"], ["", "x"]]
    assert sha256 == hashlib.sha256(content).hexdigest()


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    frame, _ = read_csv(_write(tmp_path, b"\xef\xbb\xbfa,b\r\n1,2\r\n"))
    assert list(frame.columns) == ["a", "b"]


def test_blank_lines_are_left_out_and_the_index_still_tells_the_line(tmp_path: Path) -> None:
    frame, _ = read_csv(_write(tmp_path, b"a,b\n1,2\n\n3,4\n\n\n"))
    assert frame.index.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"PK\x03\x04rest", "is a zip archive; expected a CSV file. Unpack it"),
        (b"a,b\n1,\x002\n", "holds binary data"),
        ("a,b\n1,2\n".encode("utf-16"), "holds binary data"),
        ("a,b\n1,gr\u00f6\u00dfe\n".encode("latin-1"), r"is not UTF-8 text \(byte 8 is 0xf6\)"),
        (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 fields, expected 2"),
        (b"a,b\n1,2,3\n4,5,6\n", "more fields than its header"),
        (b'a,b\n1,"2\n3,4\n', "a quotation mark is opened and never closed"),
    ],
)
def test_what_is_no_csv_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(SurveyFileError, match=message):
        read_csv(_write(tmp_path, content))


def test_a_missing_file_a_folder_and_a_device_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SurveyFileError, match=r"nothing\.csv does not exist\. .*--source embedded"):
        read_csv(tmp_path / "nothing.csv")
    with pytest.raises(SurveyFileError, match="is a folder; expected a CSV file"):
        read_csv(tmp_path)
    with pytest.raises(SurveyFileError, match="is not a regular file"):
        read_csv(Path(os.devnull))


def test_a_path_that_the_system_refuses_is_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(SurveyFileError, match="cannot be read: File name too long"):
        read_csv(tmp_path / ("x" * 300))
