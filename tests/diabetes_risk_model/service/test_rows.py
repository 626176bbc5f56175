import csv
import io
import json
import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diabetes_risk_model.prediction.batch import UnreadableRow
from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput
from diabetes_risk_model.service.answers import RequestRefused
from diabetes_risk_model.service.bodies import parse_json
from diabetes_risk_model.service.rows import columns_of, from_csv, from_json

COLUMNS = columns_of(DiabetesRiskModelInput)


def refused(function, *arguments):
    with pytest.raises(RequestRefused) as caught:
        function(*arguments)
    return caught.value.answer.status, caught.value.answer.body.decode()


def test_the_columns_are_the_schemas():
    assert COLUMNS == {"body_mass_index": True, "general_health": False, "age": False, "income": False}


def test_csv_in_any_order_of_columns_with_missing_answers():
    body = b'age,body_mass_index\r\nFROM_80,28.5\r\n,\r\n"FROM_80",3e1\r\n'
    assert list(from_csv(body, COLUMNS, 10)) == [
        {"age": "FROM_80", "body_mass_index": 28.5},
        {"age": None, "body_mass_index": None},
        {"age": "FROM_80", "body_mass_index": 30.0},
    ]


@pytest.mark.parametrize("body", [b"\xef\xbb\xbfage\nFROM_80", b" age \nFROM_80\n", b"age\r\nFROM_80\r\n"])
def test_how_other_programs_write_csv(body):
    assert list(from_csv(body, COLUMNS, 10)) == [{"age": "FROM_80"}]


@pytest.mark.parametrize("cell", ["nan", "inf", "1_0", " 28", "0x1c", "٢٨", "28,5", "1e", "9" * 41, "28.5 kg"])
def test_a_cell_that_only_python_would_read_as_a_number_stays_text(cell):
    body = f'body_mass_index\n"{cell}"\n'.encode()
    assert list(from_csv(body, COLUMNS, 10)) == [{"body_mass_index": cell}]


def test_a_row_of_another_length_is_marked_and_the_others_are_kept():
    body = b"age,income\nFROM_80\nFROM_80,UNDER_10_000\nFROM_80,UNDER_10_000,3\n\n"
    expected = [f"Expected 2 cells, found {number}" for number in (1, 3, 0)]
    rows = from_csv(body, COLUMNS, 10)
    assert rows[1] == {"age": "FROM_80", "income": "UNDER_10_000"}
    assert [rows[0], *rows[2:]] == [UnreadableRow(problem) for problem in expected]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "there is none"),
        (b"\n1\n", "there is none"),
        (b"age,weight\n", "'weight' is none of them"),
        (b"age,age\n", "'age' is in it twice"),
        (b"age;income\n", "'age;income' is none of them"),
        (b"age,\n", "'' is none of them"),
        (b"age\n\xff\n", "not UTF-8: an error at byte 4"),
        (b'age\n"FROM_80\n', "not CSV"),
        (b'age\n"a"b\n', "not CSV"),
        (b'age\n"' + b"x" * 200_000 + b'"\n', "not CSV"),
        (b"w\x00\x1b[2J\n", "is none of them"),
        (b"k" * 5_000 + b"\n", "k..."),
    ],
)
def test_csv_that_does_not_fit(body, message):
    status, answer = refused(from_csv, body, COLUMNS, 10)
    assert status == 400
    assert message in answer
    assert len(answer) < 400


def test_rows_are_counted():
    assert len(from_csv(b"age\n" + b"FROM_80\n" * 10, COLUMNS, 10)) == 10
    assert refused(from_csv, b"age\n" + b"FROM_80\n" * 11, COLUMNS, 10)[0] == 413
    assert refused(from_csv, b"age\n" + b"\n" * 100_000, COLUMNS, 10)[0] == 413
    assert len(from_json(b"[1,1]", 2)) == 2
    assert refused(from_json, b"[1,1,1]", 2)[0] == 413


@pytest.mark.parametrize("body", [b"{}", b"null", b'"[]"', b"1"])
def test_json_that_is_no_array(body):
    assert refused(from_json, body, 10)[0] == 400


TEXTS = st.text(max_size=200).map(lambda text: b"age,income\n" + text.encode("utf-8", "replace"))


@pytest.mark.parametrize("read", [lambda body: from_csv(body, COLUMNS, 5), lambda body: from_json(body, 5)])
@given(body=st.binary(max_size=200) | TEXTS)
def test_no_bytes_make_it_fail_otherwise(read, body):
    with suppress(RequestRefused):
        assert len(read(body)) <= 5


@given(st.lists(st.tuples(st.text(max_size=8), st.floats(15, 60)), max_size=5))
def test_what_is_written_is_read(rows):
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["age", "body_mass_index"])
    writer.writerows(rows)
    try:
        body = text.getvalue().encode()
    except UnicodeEncodeError:
        return
    expected = [{"age": age or None, "body_mass_index": index} for age, index in rows]
    assert list(from_csv(body, COLUMNS, 10)) == expected


# Pieces of arrays of rows, well written and not: what is put together of them is often JSON, and often nearly.
NUMBERS = ["28", "28.5", "-0", "-0.0", "1e2", "1E+2", "1e999", "5e-324", "9007199254740993", "9" * 4301]
NO_NUMBERS = [
    "+28",
    ".5",
    "28.",
    "028",
    "1e",
    "NaN",
    "Infinity",
    "-Infinity",
    "nan",
    "1_0",
    "0x1c",
    "-",
    "None",
    "True",
]
TEXTS_IN_JSON = ['""', '"FROM_80"', '"a:b"', '"\\u0041"', '"\\ud800"', '"\\x"', '"a\tb"', "'a'", '"\x00"', '"é"', '"']
OTHERS = ["null", "true", "[]", "{}", "[1]", '{"age": 1}', '{"age": 1, "age": 1}', "/**/"]
VALUES = st.sampled_from(NUMBERS + NO_NUMBERS + TEXTS_IN_JSON + OTHERS)
NAMES = st.sampled_from(
    ['"age"', '"age"', '"income"', '"\\u0061ge"', '"a:b"', '""', "age", "'age'", '"\\ud800"', '"é"']
)
BLANKS = st.sampled_from(["", "", "", " ", "\n\t\r", "\x0b", "\u00a0", "\ufeff"])
FIELDS = st.tuples(BLANKS, NAMES, st.sampled_from([":", ":", ":", "::", " : ", "="]), VALUES, BLANKS).map("".join)
OBJECTS = st.tuples(st.lists(FIELDS, max_size=3).map(",".join), st.sampled_from(["}", "}", "}", ",}", ""])).map(
    lambda parts: "{" + "".join(parts)
)
ARRAYS = st.tuples(
    BLANKS, st.lists(OBJECTS | VALUES, max_size=3).map(",".join), st.sampled_from(["]", "]", "]x", ",]", ""])
).map(lambda parts: f"{parts[0]}[{parts[1]}{parts[2]}".encode("utf-8", "surrogatepass"))


def outcome(read):
    try:
        return read()
    except RequestRefused as refusal:
        return refusal.answer


def alike(one, other):
    """Equal, and of the same types, with the signs of zeros and the order of fields."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other and (not isinstance(one, float) or math.copysign(1, one) == math.copysign(1, other))


@given(
    ARRAYS
    | st.lists(st.dictionaries(st.text(max_size=3), st.floats() | st.integers() | st.text())).map(
        lambda rows: json.dumps(rows).encode()
    )
)
def test_json_is_read_as_strictly_as_a_single_prediction(body):
    """The fast way must not take a body that `parse_json` refuses, nor read one otherwise."""
    by_parser, by_rows = (outcome(read) for read in (lambda: parse_json(body), lambda: from_json(body, len(body))))
    assert alike(by_rows, by_parser)


@pytest.mark.parametrize(
    "body",
    [
        b'[{"age": "FROM_80", "age": null}]',
        b'[{"age": null, "income": null}, {"age": null, "age": null}]',
        b'[{"age": null, "\\u0061ge": null}]',
        b'[{"age": 1, "age": {"a": 1}}]',
        b'[{"age": {"a": 1, "a": 1}}]',
        b'[{"age": "a:b", "age": "a"}]',
    ],
)
def test_a_field_that_comes_twice_is_not_dropped(body):
    status, answer = refused(from_json, body, 10)
    assert status == 400
    assert "is in it twice" in answer


def test_plain_rows_are_read_the_fast_way(monkeypatch):
    """Else the tests above would test nothing."""
    monkeypatch.setattr("diabetes_risk_model.service.rows.parse_json", None)
    body = b'[{"age": "FROM_80", "body_mass_index": 28.5}, {}, {"income": null}]'
    assert from_json(body, 10) == [{"age": "FROM_80", "body_mass_index": 28.5}, {}, {"income": None}]


CELLS = st.sampled_from(["", "28", "28.5", "nan", "FROM_80", " x", "1e999"])


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=5))
def test_csv_of_equal_lengths_is_read_as_each_line_by_itself(lines):
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["income", "body_mass_index"], *lines])
    together = list(from_csv(text.getvalue().encode(), COLUMNS, 5))
    # A line of another length makes the others be read one by one.
    uneven = from_csv(text.getvalue().encode() + b"x\r\n", COLUMNS, 6)
    assert uneven == [*together, UnreadableRow("Expected 2 cells, found 1")]
