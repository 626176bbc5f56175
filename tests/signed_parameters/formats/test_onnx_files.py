"""ONNX files, and the attack by tensors that lie in other files."""

import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

import signed_parameters as sp
from signed_parameters.formats import onnx_files

VALUES = [1.0, 2.0, 3.0, 4.0]


def external(location: str, name: str = "w") -> TensorProto:
    """Return a tensor that lies in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def graph(node: Any, *initializers: TensorProto) -> Any:
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    return helper.make_graph([node], "g", [], [output], list(initializers))


def model_of(graph: Any, **more: Any) -> Any:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, **more)


def identity(name: str = "w") -> Any:
    return helper.make_node("Identity", [name], ["y"])


def constant(location: str) -> Any:
    return helper.make_node("Constant", [], ["y"], value=external(location))


def _in_a_branch(location: str) -> Any:
    branch = graph(constant(location))
    chosen = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    return graph(chosen, helper.make_tensor("c", TensorProto.BOOL, [], [True]))


def _in_a_function(location: str) -> Any:
    function = helper.make_function("mine", "F", [], ["y"], [constant(location)], [helper.make_opsetid("", 17)])
    model = model_of(graph(helper.make_node("F", [], ["y"], domain="mine")), functions=[function])
    model.opset_import.append(helper.make_opsetid("mine", 1))
    return model


def _as_a_list(location: str) -> Any:
    node = identity()
    node.attribute.append(helper.make_attribute("aside", [external(location)]))
    return graph(node, helper.make_tensor("w", TensorProto.FLOAT, [4], VALUES))


def _sparse(location: str) -> Any:
    made = graph(identity())
    made.sparse_initializer.add().values.CopyFrom(external(location))
    return made


def _in_training(location: str) -> Any:
    model = model_of(graph(identity(), helper.make_tensor("w", TensorProto.FLOAT, [4], VALUES)))
    model.training_info.add().algorithm.CopyFrom(graph(constant(location)))
    return model


PLACES = {
    "a constant": lambda location: model_of(graph(constant(location))),
    "an initializer": lambda location: model_of(graph(identity(), external(location))),
    "a branch": lambda location: model_of(_in_a_branch(location)),
    "a function": _in_a_function,
    "a list of tensors": lambda location: model_of(_as_a_list(location)),
    "a sparse tensor": lambda location: model_of(_sparse(location)),
    "training": _in_training,
}


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the working folder, which nobody signed."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.bin"
    path.write_bytes(struct.pack("<4f", *VALUES))
    return path


@pytest.mark.parametrize("place", ["a constant", "a branch", "a function"])
def test_the_runtime_alone_reads_other_files(weights: Path, place: str) -> None:
    """The attack: who can write a file where the service runs decides what a signed model says."""
    session = onnxruntime.InferenceSession(PLACES[place](weights.name).SerializeToString())
    assert session.run(None, {})[0].tolist() == VALUES


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "location", ["weights.bin", "../../../../../../etc/passwd", "/etc/passwd", "*/_ORT_MEM_ADDR_/*"]
)
def test_a_model_that_names_another_file(
    weights: Path, location: str, place: str, workshop: Any, refused: Any, make_package: Any
) -> None:
    data = PLACES[place](location).SerializeToString()
    with refused(sp.MalformedPackage, match="keeps tensors in other files"):
        make_package({"model.onnx": data})
    workshop.put_signed({"model.onnx": data})
    with workshop.verify() as package, refused(sp.MalformedPackage, match="keeps tensors in other files"):
        package.load_onnx("model.onnx")


def test_a_model_in_one_file_runs(workshop: Any) -> None:
    tensor = helper.make_tensor("location", TensorProto.FLOAT, [4], VALUES)
    tensor.data_location = TensorProto.DEFAULT
    data = model_of(graph(identity("location"), tensor)).SerializeToString()
    assert b"location" in data, "so that it is looked through"
    workshop.put_signed({"model.onnx": data})
    with workshop.verify() as package:
        session = package.load_onnx("model.onnx", threads=2)
    assert session.run(None, {})[0].tolist() == VALUES
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_the_runtime_s_other_format_is_refused(tmp_path: Path, workshop: Any) -> None:
    """It is no Protocol Buffers message, so that nothing would be found in it."""
    data = model_of(graph(identity(), helper.make_tensor("w", TensorProto.FLOAT, [4], VALUES))).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(data, options)
    other = (tmp_path / "model.ort").read_bytes()
    assert onnxruntime.InferenceSession(other).run(None, {})[0].tolist() == VALUES
    workshop.put_signed({"model.onnx": other})
    with workshop.verify() as package, pytest.raises(sp.MalformedPackage, match="cannot be run here"):
        package.load_onnx("model.onnx")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"location",
        b"location" + bytes([0xFF] * 20),
        b"\x3a\xff\xff\xff\xff\x0flocation",
        b"\x3a" * 5000 + b"location",
        b"\x3b\x00location",
        model_of(graph(constant("a"))).SerializeToString()[:-30],
    ],
)
def test_what_is_no_model_gets_our_error(data: bytes, workshop: Any) -> None:
    workshop.put_signed({"model.onnx": data})
    with (
        workshop.verify() as package,
        pytest.raises(sp.MalformedPackage, match=r"^model\.onnx (is no ONNX model|cannot be run here)"),
    ):
        package.load_onnx("model.onnx")


def test_a_field_s_number_cannot_be_disguised(refused: Any) -> None:
    """The runtime takes 32 bits of it. In more, the field of the graph could hide."""
    data = model_of(graph(constant("weights.bin"))).SerializeToString()
    at = data.index(b"\x3a")
    disguised = data[:at] + b"\xba\x80\x80\x80\x10" + data[at + 1 :]
    with refused(sp.MalformedPackage, match="too large"):
        onnx_files.check_self_contained(disguised)


def _field(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    return tag + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + content


def test_a_graph_that_nests_very_deeply(refused: Any) -> None:
    message = b"\x12\x08location"  # a graph of that name
    for _ in range(300):
        for tag in (b"\x32", b"\x2a", b"\x0a"):  # an attribute's graph, a node's attribute, a graph's node
            message = _field(tag, message)
    with refused(sp.MalformedPackage, match="nested too deeply"):
        onnx_files.check_self_contained(_field(b"\x3a", message))


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2"])
def test_threads_that_are_no_number(threads: Any) -> None:
    with pytest.raises(sp.ConfigurationError, match="threads is not usable"):
        onnx_files.open_session(b"", threads=threads)


def test_every_field_that_leads_to_tensors_is_known() -> None:
    """The map of messages is the library's own."""
    messages = {
        "model": onnx.ModelProto,
        "training": onnx.TrainingInfoProto,
        "function": onnx.FunctionProto,
        "graph": onnx.GraphProto,
        "node": onnx.NodeProto,
        "attribute": onnx.AttributeProto,
        "sparse": onnx.SparseTensorProto,
        "tensor": onnx.TensorProto,
    }
    kinds = {message.DESCRIPTOR.full_name: kind for kind, message in messages.items()}
    for kind, message in messages.items():
        fields = {
            field.number: kinds[field.message_type.full_name]
            for field in message.DESCRIPTOR.fields
            if field.message_type is not None and field.message_type.full_name in kinds
        }
        assert onnx_files._FIELDS[kind] == fields


_EXTERNAL = model_of(_in_a_branch("weights.bin")).SerializeToString()


@given(st.data())
def test_a_damaged_model_raises_nothing_but_our_error(data: st.DataObject) -> None:
    damaged = bytearray(_EXTERNAL)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(sp.MalformedPackage):
        onnx_files.check_self_contained(bytes(damaged))


@given(st.binary(max_size=60))
def test_any_bytes_raise_nothing_but_our_error(data: bytes) -> None:
    with suppress(sp.MalformedPackage):
        onnx_files.check_self_contained(b"location" + data)
