"""Reading bodies: the fast way must never accept what the strict way refuses, nor read it as something else."""

import asyncio
import json
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from diabetes_risk_model.service import bodies
from diabetes_risk_model.service.answers import RequestRefused
from diabetes_risk_model.service.bodies import ClientGone, parse_json, read_body

NAMES = st.sampled_from(["age", "income", "body_mass_index", ":", '"', "a:b", "\\", "", "age "])
VALUES = st.recursive(
    st.sampled_from(["1", "28.5", "null", "true", '"FROM_80"', '":"', '"a:b"', "NaN", "-Infinity", "1e999", "01", "'"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]")
        | st.lists(st.tuples(NAMES, inner), max_size=4).map(
            lambda members: "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in members) + "}"
        )
    ),
    max_leaves=12,
)


def outcome(parse, body):
    try:
        return repr(parse(body))
    except RequestRefused as refused:
        return refused.answer


@settings(max_examples=1_500)
@given(VALUES, st.sampled_from(["", " ", "\n", "x", "{}", "\ufeff"]), st.sampled_from(["", " ", "]", "x", ",", "{}"]))
@example('{"age": 1, "age": 2}', "", "")
@example('{"age": 1, "age": ":"}', "", "")
@example('[{"a": 1}, {"a": 1, "a": 1}]', "", "")
@example('[{"a": {"b": 1, "b": 2}}]', "", "")
@example('{"a": [{"b": 1, "b": 2}]}', "", "")
@example('{"a": 1, "\\u0061": 2}', "", "")
def test_the_fast_way_reads_what_the_strict_way_reads(value, before, after):
    body = (before + value + after).encode()
    assert outcome(parse_json, body) == outcome(bodies._parse_strictly, body)


@pytest.mark.parametrize("seed", range(300))
def test_damaged_bodies_are_read_alike(seed):
    source = random.Random(seed)
    row = {"body_mass_index": 28.5, "general_health": "GOOD", "age": "FROM_60_TO_64", "income": None}
    body = bytearray(json.dumps([row, row] if seed % 2 else row).encode())
    for _ in range(source.randint(1, 4)):
        position = source.randrange(len(body))
        body[position : position + source.randint(0, 3)] = source.choice([b'"', b":", b",", b"{", b"\xff", b"9", b" "])
    assert outcome(parse_json, bytes(body)) == outcome(bodies._parse_strictly, bytes(body))


def test_plain_bodies_do_not_need_the_strict_way(monkeypatch):
    monkeypatch.delattr(bodies, "_strict_decoder")
    assert parse_json(b'{"age": "FROM_80", "body_mass_index": 28}') == {"age": "FROM_80", "body_mass_index": 28}
    assert parse_json(b'[{"age": null}, {}, 1]') == [{"age": None}, {}, 1]


def read(messages, *, seconds=5.0, limit=100, headers=None):
    """Read a body whose parts come one by one; None stands for a moment in which nothing comes."""
    parts = iter(messages)

    async def receive():
        for message in parts:
            if message is not None:
                return message
            await asyncio.sleep(0.01)
        await asyncio.Event().wait()

    return asyncio.run(read_body(headers or {}, receive, limit=limit, seconds=seconds))


def part(body, more):
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize(
    "messages",
    [
        [part(b"whole", False)],
        [None, part(b"whole", False)],
        [part(b"wh", True), part(b"ole", False)],
        [part(b"", True), None, part(b"who", True), None, None, part(b"le", True), part(b"", False)],
    ],
)
def test_a_body_is_read_however_its_parts_come(messages):
    assert read(messages) == b"whole"


@pytest.mark.parametrize("messages", [[], [None], [part(b"x", True)], [part(b"x", True), None, part(b"x", True)]])
def test_a_body_that_does_not_end_is_given_up(messages):
    with pytest.raises(RequestRefused) as refused:
        read(messages, seconds=0.05)
    assert refused.value.answer.status == 408


@pytest.mark.parametrize(
    ("messages", "status"),
    [([part(b"x" * 101, False)], 413), ([part(b"x" * 60, True), part(b"x" * 60, True)], 413)],
)
def test_what_comes_is_counted(messages, status):
    with pytest.raises(RequestRefused) as refused:
        read(messages)
    assert refused.value.answer.status == status


@pytest.mark.parametrize("before", [[], [None], [part(b"x", True)], [part(b"x", True), None]])
def test_a_client_that_is_gone_is_noticed(before):
    with pytest.raises(ClientGone):
        read([*before, {"type": "http.disconnect"}])
