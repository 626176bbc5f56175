"""Measure the three formats with the same model: size of the package, and time to verify and load it.

`python -m benchmarks.formats` takes scikit-learn models with 100 trees, trained on 5,000 rows of 20 columns. The
baseline of each ratio is the pickle of the same model in the same run. Nothing here has to be reached.
"""

import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import signed_parameters as sp

ROWS, COLUMNS, TREES = 5_000, 20, 100
_ROUNDS = 5


@dataclass(frozen=True)
class Measured:
    """A model in a format: size of its package, in bytes, and the median time to verify and load it, in seconds."""

    size: int
    seconds: float


def models(rows: int = ROWS, trees: int = TREES) -> dict[str, Any]:
    """Train the models.

    Returns:
        Name of the class -> the fitted model.
    """
    from sklearn.datasets import make_classification
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

    x, y = make_classification(rows, COLUMNS, random_state=0)
    kinds = (
        GradientBoostingClassifier(n_estimators=trees, random_state=0),
        RandomForestClassifier(n_estimators=trees, max_depth=8, random_state=0),
    )
    return {type(model).__name__: model.fit(x, y) for model in kinds}


def measure(model: Any, folder: str) -> dict[str, Measured]:
    """Sign a model in each format into a folder, and load it.

    Returns:
        Name of the format -> what was measured.
    """
    from skl2onnx import to_onnx

    key = sp.SigningKey.generate()
    policy = sp.TrustPolicy(name="m", keys=[key.verification_key])
    exported = to_onnx(model, np.zeros((1, COLUMNS), dtype=np.float32))
    found = {}
    for format, dumped in (("pickle", model), ("skops", model), ("onnx", exported)):
        version = f"{type(model).__name__}-{format}"
        uri = sp.sign_model(
            dumped, folder, key=key, name="m", version="0.1.0", parameters_version=version, format=format, serial=1
        )
        times = []
        for _ in range(_ROUNDS):
            started = time.perf_counter()
            sp.load_model(uri, policy)
            times.append(time.perf_counter() - started)
        found[format] = Measured(os.path.getsize(uri), statistics.median(times))
    return found


def report(console: Console, found: dict[str, dict[str, Measured]]) -> None:
    """Print a row for each model and format."""
    table = Table("model", "format", "package, MB", "verify and load, ms", "pickle's time is 1")
    for name, formats in found.items():
        for format, measured in formats.items():
            table.add_row(
                name,
                format,
                f"{measured.size / 1e6:.2f}",
                f"{1000 * measured.seconds:.0f}",
                f"{measured.seconds / formats['pickle'].seconds:.1f}",
            )
    console.print(table)


def main() -> int:
    """Run the benchmark."""
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as folder:
        report(console, {name: measure(model, folder) for name, model in models().items()})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
