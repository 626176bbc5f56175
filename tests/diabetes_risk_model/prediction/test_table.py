"""The table: what is written is read, what is not written so is refused, and looking up is looking up."""

import json
import math
import random
import struct
from array import array
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diabetes_risk_model.prediction.table import MOST_CELLS, Axis, Table, TableEngine, count_cells
from signed_parameters import MalformedPackage

COLUMNS = ("BMI", "GeneralHealth", "Age", "Income")
CUTS = ((18.5, 25.0, 29.999999999999996), (2.5,), (), (1.5, 6.5))
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def make_table(cuts=CUTS, missing=(28.25, 3.0, 8.5, 5.5), columns=COLUMNS, seed=1):
    axes = tuple(map(Axis, columns, cuts, missing))
    source = random.Random(seed)
    return Table(axes, array("d", (source.random() for _ in range(count_cells(axes)))))


GOOD = make_table().to_bytes()
HEADER, _, CELLS = GOOD.partition(b"\n")


def changed(change):
    """Return the good file with another header."""
    header = json.loads(HEADER)
    change(header)
    return json.dumps(header, separators=(",", ":")).encode() + b"\n" + CELLS


def refused(data):
    with pytest.raises(MalformedPackage) as caught:
        Table.from_bytes(data, COLUMNS)
    return str(caught.value)


@given(st.data())
def test_what_is_written_is_read(data):
    cuts = st.lists(FINITE, max_size=3, unique_by=lambda cut: cut + 0.0).map(lambda values: tuple(sorted(values)))
    table = make_table(data.draw(st.tuples(*[cuts] * 4)), data.draw(st.tuples(*[FINITE] * 4)))
    read = Table.from_bytes(table.to_bytes(), COLUMNS)
    assert read == table
    assert read.to_bytes() == table.to_bytes()


def test_the_file_is_a_line_of_json_and_little_endian_numbers():
    table = make_table()
    assert json.loads(HEADER) == {
        "format": "diabetes_risk_model.table.v1",
        "axes": [{"column": axis.column, "cuts": list(axis.cuts), "missing": axis.missing} for axis in table.axes],
    }
    assert struct.unpack(f"<{len(table.cells)}d", CELLS) == tuple(table.cells)


def _axis(number, **changes):
    def change(header):
        header["axes"][number].update(changes)

    return change


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "begin with its header"),
        (b"\n", "begin with its header"),
        (GOOD.replace(b"\n", b"", 1), "begin with its header"),
        (b" " + GOOD, "begin with its header"),
        (b"\xef\xbb\xbf" + GOOD, "begin with its header"),
        (b"\x80\x04" + GOOD, "begin with its header"),
        (b"[" * 100_000 + b"\n", "begin with its header"),
        (b"x" * (1 << 20) + b"\n" + GOOD, "begin with its header"),
        (HEADER.replace(b'"axes"', b'"axes":[],"axes"') + b"\n" + CELLS, "begin with its header"),
        (HEADER.replace(b"28.25", b"28.250") + b"\n" + CELLS, "begin with its header"),
        (HEADER.replace(b"28.25", b"9" * 5_000) + b"\n" + CELLS, "begin with its header"),
        (HEADER.replace(b"28.25", b"1e999") + b"\n" + CELLS, "begin with its header"),
        (changed(lambda header: header.update(format="diabetes_risk_model.table.v2")), "begin with its header"),
        (changed(lambda header: header.update(more=1)), "begin with its header"),
        (changed(lambda header: header.pop("format")), "begin with its header"),
        (changed(lambda header: header.update(axes={})), "begin with its header"),
        (changed(lambda header: header.update(axes=None)), "begin with its header"),
        (changed(lambda header: header.update(axes=["BMI"])), "begin with its header"),
        (changed(_axis(0, column=None)), "begin with its header"),
        (changed(_axis(0, column=["BMI"])), "begin with its header"),
        (changed(_axis(0, missing="28.25")), "begin with its header"),
        (changed(_axis(0, missing=28)), "begin with its header"),
        (changed(_axis(0, missing=10**400)), "begin with its header"),
        (changed(_axis(0, missing=True)), "begin with its header"),
        (changed(_axis(1, cuts="2.5")), "begin with its header"),
        (changed(_axis(1, cuts=[[2.5]])), "begin with its header"),
        (changed(_axis(1, cuts={"2.5": 1})), "begin with its header"),
        (changed(_axis(0, missing=math.nan)), "at BMI that is not finite"),
        (changed(_axis(3, cuts=[1.5, math.inf])), "at Income that is not finite"),
        (changed(_axis(3, cuts=[-math.inf, 1.5])), "at Income that is not finite"),
        (changed(_axis(3, cuts=[6.5, 1.5])), "cut in order at Income"),
        (changed(_axis(3, cuts=[1.5, 1.5])), "cut in order at Income"),
        (changed(_axis(0, cuts=[-0.0, 0.0, 1.0])), "cut in order at BMI"),
        (changed(_axis(0, column="Weight\x00")), "is for other columns"),
        (changed(lambda header: header["axes"].reverse()), "is for other columns"),
        (changed(lambda header: header["axes"].pop()), "is for other columns"),
        (changed(lambda header: header.update(axes=[])), "is for other columns"),
        (GOOD[:-1], "does not hold the cells"),
        (GOOD[:-8], "does not hold the cells"),
        (GOOD + b"\x00", "does not hold the cells"),
        (GOOD + bytes(8), "does not hold the cells"),
        (HEADER + b"\n", "does not hold the cells"),
        (GOOD[:-8] + struct.pack("<d", math.nan), "no probability"),
        (GOOD[:-8] + struct.pack("<d", math.inf), "no probability"),
        (GOOD[:-8] + struct.pack("<d", math.nextafter(1, 2)), "no probability"),
        (GOOD[:-8] + struct.pack("<d", -5e-324), "no probability"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_written_so_is_refused(data, problem):
    message = refused(data)
    assert problem in message
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize(("cuts", "cells"), [(5_000, "625,500,150,020,001"), (44, "4,100,625")])
def test_a_header_that_asks_for_more_cells_than_allowed_is_refused(cuts, cells):
    axes = [{"column": name, "cuts": [float(number) for number in range(cuts)], "missing": 0.0} for name in COLUMNS]
    message = refused(changed(lambda header: header.update(axes=axes)))
    assert f"is too large: expected at most {MOST_CELLS:,} cells, found {cells}" in message


@given(st.data())
def test_one_changed_byte_is_another_table_or_none(data):
    place = data.draw(st.integers(0, len(GOOD) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != GOOD[place]))
    changed_file = GOOD[:place] + bytes([byte]) + GOOD[place + 1 :]
    try:
        read = Table.from_bytes(changed_file, COLUMNS)
    except MalformedPackage:
        return
    assert read.to_bytes() == changed_file


VALUES = (10.0, 18.499999999999996, 18.5, 24.0, 25.0, 30.0, 29.999999999999996, 1e30, -1e30, math.nan, float("nan"))


def test_each_row_gets_the_answer_of_its_cell():
    table = make_table()
    engine = TableEngine(table)
    rows = list(product(VALUES, (1.0, 2.0, 2.5, 3.0, math.nan), (1.0, math.nan), (1.0, 2.0, 6.5, 7.0, float("nan"))))
    expected = []
    for row in rows:
        filled = [axis.missing if math.isnan(value) else value for axis, value in zip(table.axes, row, strict=True)]
        place = 0
        for axis, value in zip(table.axes, filled, strict=True):
            place = place * (len(axis.cuts) + 1) + sum(cut <= value for cut in axis.cuts)
        expected.append(table.cells[place])
    assert [engine.probability(row) for row in rows] == expected
    assert list(engine.probabilities(tuple(zip(*rows, strict=True)))) == expected
    assert list(engine.probabilities(tuple(array("d", column) for column in zip(*rows, strict=True)))) == expected
    assert len(set(expected)) > count_cells(table.axes) // 2


def test_what_clients_choose_is_not_kept():
    engine = TableEngine(make_table())
    before = [len(offsets) for offsets in engine._offsets]
    for number in range(1_000):
        engine.probability((20 + number / 1_000, number + 0.5, math.nan, float("nan")))
    assert [len(offsets) for offsets in engine._offsets] == before
