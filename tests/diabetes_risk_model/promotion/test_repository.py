"""Git, by its own program."""

import os
import shutil
import subprocess

import pytest

from diabetes_risk_model.promotion.repository import Repository
from signed_parameters import ConfigurationError, NotFound, TooLarge, Unavailable

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine")


def git(folder, *arguments):
    identity = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env={**os.environ, **identity}, capture_output=True, timeout=60, check=True
    )
    return done.stdout.decode()


@pytest.fixture
def bare(tmp_path):
    """A repository with one commit."""
    work = tmp_path / "work"
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(work))
    (work / "a.txt").write_text("one\n")
    (work / "folder").mkdir()
    os.symlink("/etc/passwd", work / "link")
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "First")
    git(tmp_path, "clone", "--quiet", "--bare", str(work), str(tmp_path / "bare.git"))
    return tmp_path / "bare.git"


def test_read_commit_and_push(bare):
    with Repository(str(bare), "main", author="Ana", email="ana@example.org") as repository:
        head = repository.fetch()
        assert repository.read(head, "a.txt", 100) == b"one\n"
        files = {"a.txt": b"two\n", "new/folder/b.txt": b"\0\xff"}
        commit = repository.commit(head, files, "What\n\nWhy, and é\n")
        assert git(bare, "rev-parse", "main").strip() == head, "nobody sees it before it is pushed"
        assert repository.push(commit, head)
        assert repository.fetch() == commit
        assert repository.read(commit, "new/folder/b.txt", 100) == b"\0\xff"
    assert git(bare, "log", "-1", "--format=%an <%ae>|%B", "main").strip() == "Ana <ana@example.org>|What\n\nWhy, and é"
    assert git(bare, "ls-tree", "-r", "--name-only", "main").split() == ["a.txt", "link", "new/folder/b.txt"]


def test_who_is_slower_changes_nothing(bare):
    with Repository(str(bare), "main") as one, Repository(str(bare), "main") as other:
        head = one.fetch()
        assert other.fetch() == head
        first = one.commit(head, {"a.txt": b"first\n"}, "First to push")
        late = other.commit(head, {"b.txt": b"late\n"}, "Late")
        assert one.push(first, head)
        assert not other.push(late, head)
        assert git(bare, "rev-parse", "main").strip() == first
        again = other.commit(other.fetch(), {"b.txt": b"late\n"}, "Late")
        assert other.push(again, first)
    assert git(bare, "log", "--format=%s", "main").splitlines() == ["Late", "First to push", "First"]


def test_what_is_no_small_file_is_not_read(bare):
    with Repository(str(bare), "main") as repository:
        head = repository.fetch()
        for path in ("missing", "link", "folder", "../a.txt", ""):
            with pytest.raises((NotFound, Unavailable)):
                repository.read(head, path, 100)
        with pytest.raises(TooLarge):
            repository.read(head, "a.txt", 3)


def test_a_repository_that_refuses_says_so(bare, tmp_path):
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho this branch is protected >&2\nexit 1\n")
    hook.chmod(0o755)
    with Repository(str(bare), "main") as repository:
        head = repository.fetch()
        commit = repository.commit(head, {"a.txt": b"two\n"}, "Change")
        with pytest.raises(Unavailable, match="takes no commit"):
            repository.push(commit, head)
    with Repository(str(bare), "another") as repository, pytest.raises(Unavailable, match="cannot be read"):
        repository.fetch()
    with Repository(str(tmp_path / "missing.git"), "main") as repository, pytest.raises(Unavailable):
        repository.fetch()


def test_the_configuration_of_the_machine_is_not_used(bare, tmp_path, monkeypatch):
    home, proof = tmp_path / "home", tmp_path / "ran"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f'[core]\n  sshCommand = touch {proof}\n  fsmonitor = touch {proof}\n[url "/x"]\n  insteadOf = {bare}\n'
    )
    monkeypatch.setenv("HOME", str(home))
    with Repository(str(bare), "main") as repository:
        repository.fetch()
    assert not proof.exists()


def test_without_git_it_says_what_is_missing(bare, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="git is missing"), Repository(str(bare), "main") as repository:
        repository.fetch()
