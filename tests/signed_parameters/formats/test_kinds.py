import io
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.formats.kinds import MODEL_SUFFIXES, Format, check_model, format_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.pkl", Format.PICKLE),
        ("folder/model.pickle", Format.PICKLE),
        ("model.skops", Format.SKOPS),
        ("model.onnx", Format.ONNX),
        ("model.joblib", None),
        ("model.pkl.txt", None),
        ("model.PKL", None),
        ("pkl", None),
    ],
)
def test_the_end_of_the_name_tells_the_kind(name: str, kind: Format | None) -> None:
    assert format_of(name) is kind
    assert (kind is not None) == name.endswith(MODEL_SUFFIXES)


@pytest.mark.parametrize("kind", Format)
def test_each_kind_has_its_own_suffixes(kind: Format) -> None:
    assert format_of(kind.file_name) is kind
    assert all(format_of(f"x{suffix}") is kind for suffix in kind.suffixes)


def test_what_is_no_model_is_not_looked_into() -> None:
    assert check_model("card.md", io.BytesIO(b"cos\nsystem\n.")) is None
    assert check_model("model.pkl", io.BytesIO(b"ccollections\nOrderedDict\n.")) == ("collections:OrderedDict",)


@pytest.mark.parametrize("name", ["model.pkl", "model.pickle", "model.skops"])
def test_every_file_that_makes_objects_is_checked_when_it_is_signed(name: str, refused: Any, make_package: Any) -> None:
    with refused(sp.UnsafePickle, match=name.replace(".", r"\.")):
        make_package({name: b"cos\nsystem\n."})
