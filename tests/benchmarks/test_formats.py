from pathlib import Path

from rich.console import Console

from benchmarks.formats import measure, models, report


def test_each_format_of_each_model_is_signed_loaded_and_shown(tmp_path: Path) -> None:
    found = {name: measure(model, str(tmp_path)) for name, model in models(rows=200, trees=3).items()}
    assert list(found) == ["GradientBoostingClassifier", "RandomForestClassifier"]
    assert all(list(formats) == ["pickle", "skops", "onnx"] for formats in found.values())
    sizes = {path.stat().st_size for path in tmp_path.glob("*.zip")}
    assert {measured.size for formats in found.values() for measured in formats.values()} == sizes
    assert all(measured.seconds > 0 for formats in found.values() for measured in formats.values())
    with Console(record=True, width=100) as console:
        report(console, found)
    shown = console.export_text()
    assert shown.count("Classifier") == 6
    assert "skops" in shown
