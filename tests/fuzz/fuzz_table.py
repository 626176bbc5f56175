"""Tables: what is read has one byte form, and every row gets a probability."""

import math
from array import array
from collections.abc import Iterator

from diabetes_risk_model.prediction.table import Axis, Table, TableEngine, count_cells
from signed_parameters.errors import MalformedPackage
from tests.fuzz.harness import Finding, Harness

_COLUMNS = ("BMI", "GeneralHealth", "Age", "Income")
_VALUES = (-1e30, 0.0, 1.0, 1.5, 28.25, 1e30, math.nan)


def _table(*cuts: tuple[float, ...]) -> bytes:
    axes = tuple(Axis(name, values, 1.5) for name, values in zip(_COLUMNS, cuts, strict=True))
    number = count_cells(axes)
    return Table(axes, array("d", (cell / number for cell in range(number)))).to_bytes()


def seeds() -> Iterator[bytes]:
    """Yield good tables, and ones that differ from them in one place."""
    good = _table((18.5, 30.0), (2.5,), (), (1.5,))
    yield good
    yield _table((), (), (), ())
    yield _table((-1e-300, 1e300), (0.1,), (), ())
    yield good[:-8]
    yield good.replace(b"v1", b"v2")
    yield good.replace(b"18.5", b"31.5")
    for value in (b"NaN", b"Infinity", b"-0.0", b"1e999", b"30", b"null", b'"30.0"', b"[30.0]"):
        yield good.replace(b"30.0", value)


def check(data: bytes) -> None:
    """Read a table, write it again, and look rows up in it."""
    try:
        table = Table.from_bytes(data, _COLUMNS)
    except MalformedPackage:
        return
    if table.to_bytes() != data:
        raise Finding("a table is read that has another byte form")
    engine = TableEngine(table)
    rows = [(one, two, one, two) for one in _VALUES for two in _VALUES]
    single = [engine.probability(row) for row in rows]
    if not all(0.0 <= probability <= 1.0 for probability in single):
        raise Finding("a row gets what is no probability")
    one, two, three, four = zip(*rows, strict=True)
    if list(engine.probabilities((one, two, three, four))) != single:
        raise Finding("many rows at once get other answers than one by one")


HARNESS = Harness(("diabetes_risk_model.prediction.table",), seeds, check)
