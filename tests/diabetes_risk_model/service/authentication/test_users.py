import json
import os
import threading

import pytest

from diabetes_risk_model.service.authentication.users import MAXIMUM_BYTES, TYPE, change_users, check_name, read_users
from signed_parameters import ConfigurationError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "users.json"


def write(path, content, mode=0o600):
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    path.chmod(mode)


def test_what_is_written_is_read(path, ana):
    change_users(path, lambda hashes: hashes.update(ana=ana.encoded))
    assert read_users(path).hashes == {"ana": ana.encoded}
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_is_written_where_the_change_fails(path, ana):
    change_users(path, lambda hashes: hashes.update(ana=ana.encoded))
    before = path.read_bytes()

    def change(hashes):
        hashes.clear()
        raise ConfigurationError("no")

    with pytest.raises(ConfigurationError, match="no"):
        change_users(path, change)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_link_stays_one(path, ana):
    real = path.with_name("real.json")
    path.symlink_to(real)
    change_users(path, lambda hashes: hashes.update(ana=ana.encoded))
    assert path.is_symlink()
    assert read_users(real).hashes == {"ana": ana.encoded}


def test_writers_at_the_same_time_lose_nothing(path, ana):
    def add(number):
        change_users(path, lambda hashes: hashes.update({f"user{number}": ana.encoded}))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_users(path).hashes) == 20


def test_a_full_file_stays_as_it_was(path, ana):
    change_users(path, lambda hashes: hashes.update(ana=ana.encoded))
    with pytest.raises(ConfigurationError, match="full"):
        change_users(path, lambda hashes: hashes.update({f"user{number}": ana.encoded for number in range(12_000)}))
    assert len(read_users(path).hashes) == 1


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o602, 0o604])
def test_a_file_that_is_open_to_others_is_refused(path, ana, mode):
    write(path, {"type": TYPE, "users": {"ana": ana.encoded}}, mode)
    with pytest.raises(ConfigurationError, match=r"open to others.*chmod 600"):
        read_users(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"type": "%s", "users": {}, "users": {}}' % TYPE.encode(),
        b'{"type": "%s", "users": {"a": "b", "a": "b"}}' % TYPE.encode(),
        {"users": {}},
        {"type": TYPE},
        {"type": "urn:another", "users": {}},
        {"type": TYPE, "users": [], "more": 1},
        {"type": TYPE, "users": []},
        {"type": TYPE, "users": {"ana": "kept-in-clear"}},
        {"type": TYPE, "users": {"ana": None}},
        {"type": TYPE, "users": {"ana": ["$argon2id$"]}},
        b" " * (MAXIMUM_BYTES + 1),
    ],
    ids=lambda content: repr(content)[:30],
)
def test_what_is_no_users_file_is_refused(path, content):
    write(path, content)
    with pytest.raises(ConfigurationError, match=r"is not usable|is too large") as refused:
        read_users(path)
    assert "kept-in-clear" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(path):
    with pytest.raises(ConfigurationError, match=r"users.json cannot be read.*users add"):
        read_users(path)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        change_users(path / "below", lambda hashes: None)


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "-a", ".a", "a\n", "\u0430na", "x" * 65, "a/b", "a:b", '"', "a\x1b[31m", "\ud800"]
)
def test_a_name_that_could_harm_a_log_or_be_mistaken_is_refused(path, ana, name):
    with pytest.raises(ConfigurationError, match="name is not usable"):
        check_name(name)
    write(path, {"type": TYPE, "users": {name: ana.encoded}})
    with pytest.raises(ConfigurationError, match="not usable") as refused:
        read_users(path)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("name", ["a", "Ana", "ana.b@example.org", "7", "x" * 64])
def test_usual_names_are_taken(name):
    assert check_name(name) == name


def test_what_stands_for_a_password_changes_with_it(path, ana):
    change_users(path, lambda hashes: hashes.update(ana=ana.encoded))
    first = read_users(path)
    change_users(path, lambda hashes: hashes.update(ana=ana.encoded[:-4] + "AAAA"))
    second = read_users(path)
    assert first.credential("ana") != second.credential("ana")
    assert first.credential("ben") is None
    assert first.version != second.version
    assert str(first.credential("ana")) not in ana.encoded
