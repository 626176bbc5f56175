import logging

import pytest

from diabetes_risk_model.service.authentication.users import change_users
from diabetes_risk_model.service.authentication.watching import LOOK_SECONDS, NoUsers, WatchedUsers
from signed_parameters import ConfigurationError


@pytest.fixture
def path(tmp_path, ana):
    path = tmp_path / "users.json"
    change_users(path, lambda hashes: hashes.update(ana=ana.encoded))
    return path


@pytest.fixture
def watched(path, clock):
    return WatchedUsers(path, clock)


def test_it_is_the_same_object_while_the_file_is_the_same(watched, clock):
    first = watched.current()
    clock.now += LOOK_SECONDS
    assert watched.current() is first


def test_a_change_counts_within_a_second_and_not_for_each_request(path, watched, clock, ana):
    change_users(path, lambda hashes: hashes.update(ben=ana.encoded))
    clock.now += LOOK_SECONDS / 2
    assert set(watched.current().hashes) == {"ana"}
    clock.now += LOOK_SECONDS / 2
    assert set(watched.current().hashes) == {"ana", "ben"}


def test_a_link_that_leads_elsewhere_is_a_change(tmp_path, path, clock, ana):
    link, other = tmp_path / "link", tmp_path / "other.json"
    link.symlink_to(path)
    watched = WatchedUsers(link, clock)
    change_users(other, lambda hashes: hashes.update(ben=ana.encoded))
    link.unlink()
    link.symlink_to(other)
    clock.now += LOOK_SECONDS
    assert set(watched.current().hashes) == {"ben"}


@pytest.mark.parametrize(
    "harm",
    [lambda path: path.unlink(), lambda path: path.write_text("{"), lambda path: path.chmod(0o666)],
    ids=["removed", "damaged", "opened"],
)
def test_a_file_that_is_not_usable_lets_nobody_in_and_is_logged_once(path, watched, clock, caplog, harm):
    content = path.read_bytes()
    harm(path)
    for _ in range(3):
        clock.now += LOOK_SECONDS
        with pytest.raises(NoUsers):
            watched.current()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "Nobody is let in" in record.getMessage()
    path.write_bytes(content)
    path.chmod(0o600)
    clock.now += LOOK_SECONDS
    assert set(watched.current().hashes) == {"ana"}


def test_at_the_start_it_has_to_be_usable(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        WatchedUsers(tmp_path / "nothing.json")
