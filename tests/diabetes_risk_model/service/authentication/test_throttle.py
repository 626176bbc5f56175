import pytest

from diabetes_risk_model.service.authentication.settings import GuessingLimits
from diabetes_risk_model.service.authentication.throttle import (
    MOST_KEYS,
    UNKNOWN_NETWORK,
    Attempts,
    Throttle,
    TooManyAttempts,
    network_of,
)

LIMITS = GuessingLimits(user_attempts=3, user_seconds=10, address_attempts=5, address_seconds=2)


@pytest.fixture
def throttle(clock):
    return Throttle(LIMITS, clock)


def guesses(throttle, user, network):
    """Guess until it is refused; return how many guesses that were."""
    for number in range(1_000):
        try:
            throttle.begin(user, network)
        except TooManyAttempts:
            return number
    raise AssertionError("guessing is not slowed")


def test_a_user_may_be_tried_some_times_and_then_once_in_a_while(throttle, clock):
    assert guesses(throttle, "ana", "192.0.2.1") == 3
    with pytest.raises(TooManyAttempts) as refused:
        throttle.begin("ana", "192.0.2.1")
    assert refused.value.seconds == pytest.approx(10)
    clock.now += 10
    assert guesses(throttle, "ana", "192.0.2.1") == 1
    clock.now += 1_000
    assert guesses(throttle, "ana", "192.0.2.1") == 3


def test_other_addresses_gain_no_tries_for_a_user(throttle):
    assert sum(guesses(throttle, "ana", f"192.0.2.{number}") for number in range(200)) == 3


def test_other_names_gain_no_tries_for_an_address(throttle):
    assert sum(guesses(throttle, f"user{number}", "192.0.2.1") for number in range(200)) == 5
    assert guesses(throttle, None, "192.0.2.1") == 0


def test_names_that_nobody_can_have_count_for_the_address(throttle):
    assert guesses(throttle, None, "192.0.2.1") == 5


def test_impatience_does_not_lengthen_the_wait(throttle, clock):
    guesses(throttle, "ana", "192.0.2.1")
    for _ in range(9):
        clock.now += 1
        assert guesses(throttle, "ana", "192.0.2.1") == 0
    clock.now += 1
    assert guesses(throttle, "ana", "192.0.2.1") == 1


def test_strangers_cannot_keep_a_user_out_who_came_from_there_before(throttle, clock):
    throttle.succeed(throttle.begin("ana", "192.0.2.1"))
    for _ in range(50):
        for stranger in range(100, 110):
            guesses(throttle, "ana", f"192.0.2.{stranger}")
        throttle.succeed(throttle.begin("ana", "192.0.2.1"))
        clock.now += 1


def test_an_address_that_a_user_came_from_has_no_more_tries_than_others(throttle):
    throttle.succeed(throttle.begin("ana", "192.0.2.1"))
    assert guesses(throttle, "ana", "192.0.2.1") == 3
    assert guesses(throttle, "ben", "192.0.2.1") == 2


def test_right_passwords_and_those_that_were_not_checked_cost_nothing(throttle):
    for _ in range(100):
        throttle.succeed(throttle.begin("ana", "192.0.2.1"))
        throttle.cancel(throttle.begin("ben", "192.0.2.2"))
    assert guesses(throttle, "ben", "192.0.2.2") == 3


def test_many_at_once_are_counted_before_any_is_checked(throttle):
    begun = [throttle.begin("ana", "192.0.2.1") for _ in range(3)]
    with pytest.raises(TooManyAttempts):
        throttle.begin("ana", "192.0.2.1")
    throttle.succeed(begun[0])
    throttle.begin("ana", "192.0.2.1")


def test_memory_is_bounded_and_comes_back(clock):
    attempts = Attempts(3, 10, clock, most=100)
    for number in range(1_000):
        attempts.take(number)
        assert len(attempts) <= 100
    clock.now += 100
    attempts.take("one")
    assert len(attempts) == 1


def test_who_tried_last_is_forgotten_last(clock):
    attempts = Attempts(2, 10, clock, most=10)
    for number in range(1_000):
        attempts.take("ana")
        attempts.take(number)
    assert attempts.wait("ana") > 0


def test_the_addresses_that_users_came_from_are_bounded(throttle):
    for number in range(MOST_KEYS + 10):
        throttle.succeed(throttle.begin("ana", f"network {number}"))
    assert len(throttle._known) == MOST_KEYS


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::7%eth0", "2001:db8:1:2::/64"),
        ("", UNKNOWN_NETWORK),
        ("made up by a client\n" * 1_000, UNKNOWN_NETWORK),
    ],
)
def test_what_counts_as_one_address(address, network):
    assert network_of(address) == network
