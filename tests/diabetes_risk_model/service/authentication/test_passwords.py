import asyncio
import threading
import time

import psutil
import pytest

from diabetes_risk_model.service.authentication import passwords
from diabetes_risk_model.service.authentication.passwords import (
    Busy,
    PasswordChecker,
    hash_password,
    is_hash,
    verify_password,
)
from signed_parameters import ConfigurationError

AT_ONCE = 2


def test_a_password_and_others(ana):
    assert verify_password(ana.encoded, ana.password)
    for other in ("", ana.password + "x", ana.password[:-1], ana.password.swapcase(), f"{ana.password}\0"):
        assert not verify_password(ana.encoded, other)


def test_the_same_password_has_another_hash_each_time(ana):
    again = hash_password(ana.password)
    assert again != ana.encoded
    assert verify_password(again, ana.password)


def test_the_two_ways_to_write_an_accent_are_one():
    encoded = hash_password("caf\u00e9 au lait, s'il vous pla\u00eet")
    assert verify_password(encoded, "cafe\u0301 au lait, s'il vous plai\u0302t")


@pytest.mark.parametrize("password", ["", "eleven char", "x" * 257])
def test_a_new_password_has_a_length(password):
    with pytest.raises(ConfigurationError, match="12 to 256 characters") as refused:
        hash_password(password)
    assert not password or password not in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("argon2id", "argon2i"),
        lambda text: text.replace("m=65536", "m=8"),
        lambda text: text.replace("m=65536", "m=4194304"),
        lambda text: text.replace("t=3", "t=1000"),
        lambda text: text.replace("v=19", "v=16"),
        lambda text: text[:-1],
        lambda text: text + "\n",
        lambda text: "plain text",
        lambda text: None,
        lambda text: "$2b$12$" + "a" * 53,
    ],
)
def test_a_hash_of_another_cost_or_kind_is_none(ana, change):
    assert is_hash(ana.encoded)
    assert not is_hash(change(ana.encoded))


def test_who_is_nobody_has_a_hash_of_the_same_cost(ana):
    assert is_hash(PasswordChecker(1)._nobodys)


def test_nobody_is_never_right():
    assert asyncio.run(PasswordChecker(1).check(None, "")) is False


def test_few_are_checked_at_once_and_few_wait_while_the_event_loop_goes_on(ana, monkeypatch):
    lock, running, most, ticks = threading.Lock(), 0, 0, 0

    def verify(encoded, password):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return verify_password(encoded, password)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(passwords, "verify_password", verify)
    checker = PasswordChecker(AT_ONCE)

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    async def check():
        try:
            return await checker.check(ana.encoded, ana.password)
        except Busy:
            return None

    async def run():
        ticking = asyncio.create_task(tick())
        results = await asyncio.gather(*(check() for _ in range(100)))
        ticking.cancel()
        return results, await check()

    results, afterwards = asyncio.run(run())
    assert results.count(True) == AT_ONCE + 16
    assert results.count(None) == 100 - AT_ONCE - 16
    assert afterwards
    assert most == AT_ONCE
    assert ticks > 10


def test_a_client_that_goes_makes_no_room_before_its_hash_is_made(ana):
    checker = PasswordChecker(1)

    async def run():
        tasks = [asyncio.create_task(checker.check(ana.encoded, ana.password)) for _ in range(17)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        with pytest.raises(Busy):
            await checker.check(ana.encoded, ana.password)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await checker.check(ana.encoded, ana.password)

    asyncio.run(run())


def test_the_memory_of_a_hash_is_given_back(ana):
    process = psutil.Process()
    verify_password(ana.encoded, ana.password)
    before = process.memory_info().rss
    for _ in range(3):
        verify_password(ana.encoded, ana.password)
    time.sleep(0.01)
    assert process.memory_info().rss - before < 32 * 2**20
