import os

import pytest

from diabetes_risk_model.service.notices import _HEAD, _NUMBER, _TEXT_BYTES, Notices


def test_what_is_shown_on_demand() -> None:
    notices = Notices(2)
    assert notices.asked(0) is None
    assert notices.shown(0) is None
    assert notices.ask() == 1
    assert (notices.asked(0), notices.asked(1)) == (1, 1)
    notices.show(0, 1, b"zero")
    assert (notices.asked(0), notices.asked(1)) == (None, 1)
    assert (notices.shown(0, 1), notices.shown(1, 1)) == (b"zero", None)
    assert notices.ask() == 2
    assert notices.asked(0) == 2
    assert (notices.shown(0, 2), notices.shown(0)) == (None, b"zero")


def test_a_shorter_text_after_a_longer_one() -> None:
    notices = Notices(1)
    for text in (b"a long text", b"", b"short"):
        notices.show(0, notices.ask(), text)
        assert notices.shown(0) == text


def test_another_process_sees_it() -> None:
    notices = Notices(2)
    number = notices.ask()
    child = os.fork()
    if child == 0:
        notices.show(1, number, b"from the child")
        os._exit(0)
    os.waitpid(child, 0)
    assert notices.shown(1, number) == b"from the child"


def test_a_text_that_is_just_being_written_is_not_there() -> None:
    notices = Notices(2)
    notices.show(1, notices.ask(), b"written")
    notices._memory[_NUMBER.size + _HEAD.size + _TEXT_BYTES + _HEAD.size] = ord("W")
    assert notices.shown(1) is None


def test_the_longest_text_and_a_longer_one() -> None:
    notices = Notices(2)
    notices.show(0, notices.ask(), b"x" * _TEXT_BYTES)
    notices.show(1, 1, b"y")
    assert notices.shown(0) == b"x" * _TEXT_BYTES
    with pytest.raises(ValueError, match="at most"):
        notices.show(0, 2, b"x" * (_TEXT_BYTES + 1))
