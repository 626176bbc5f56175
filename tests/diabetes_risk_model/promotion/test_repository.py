"""Git, by its own program."""

import os
import shutil
import subprocess
import tempfile

import pytest

from diabetes_risk_model.promotion.git import Git
from diabetes_risk_model.promotion.repository import CommitRefused, Repository
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
    for name in ("folder/old.txt", "folder/deep/older.txt", "folder2/kept.txt"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(f"{name}\n")
    os.symlink("/etc/passwd", work / "link")
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "First")
    git(tmp_path, "clone", "--quiet", "--bare", str(work), str(tmp_path / "bare.git"))
    return tmp_path / "bare.git"


def test_read_commit_and_push(bare):
    with Repository(str(bare), "main", author="Ana", email="ana@example.org") as repository:
        head = repository.fetch()
        assert repository.git.read(head, "a.txt", 100) == b"one\n"
        files = {"folder/a.txt": b"two\n", "folder/new/b.txt": b"\0\xff"}
        commit = repository.commit(head, "folder", files, "What\n\nWhy, and é\n")
        assert git(bare, "rev-parse", "main").strip() == head, "nobody sees it before it is pushed"
        assert repository.push(commit, head)
        assert repository.fetch() == commit
        assert repository.git.read(commit, "folder/new/b.txt", 100) == b"\0\xff"
    assert git(bare, "log", "-1", "--format=%an <%ae>|%B", "main").strip() == "Ana <ana@example.org>|What\n\nWhy, and é"
    assert git(bare, "ls-tree", "-r", "--name-only", "main").split() == [
        "a.txt",
        "folder/a.txt",
        "folder/new/b.txt",
        "folder2/kept.txt",
        "link",
    ], "the folder has the new files and no others, and nothing else has changed"


def test_who_is_slower_changes_nothing(bare):
    with Repository(str(bare), "main") as one, Repository(str(bare), "main") as other:
        head = one.fetch()
        assert other.fetch() == head
        first = one.commit(head, "folder", {"folder/a.txt": b"first\n"}, "First to push")
        late = other.commit(head, "b", {"b/b.txt": b"late\n"}, "Late")
        assert one.push(first, head)
        assert not other.push(late, head)
        assert git(bare, "rev-parse", "main").strip() == first
        again = other.commit(other.fetch(), "b", {"b/b.txt": b"late\n"}, "Late")
        assert other.push(again, first)
    assert git(bare, "log", "--format=%s", "main").splitlines() == ["Late", "First to push", "First"]


def test_what_is_no_small_file_is_not_read(bare):
    with Repository(str(bare), "main") as repository:
        head = repository.fetch()
        for path in ("missing", "link", "folder", "../a.txt", ""):
            with pytest.raises((NotFound, Unavailable)):
                repository.git.read(head, path, 100)
        with pytest.raises(TooLarge):
            repository.git.read(head, "a.txt", 3)


def test_the_files_of_a_folder_and_what_is_no_small_file_there(bare):
    with Repository(str(bare), "main") as repository:
        head = repository.fetch()
        files = repository.git.files(head, "folder", 100)
        assert files == {f"folder/{name}": f"folder/{name}\n".encode() for name in ("old.txt", "deep/older.txt")}
        assert repository.git.files(head, "missing", 100) == {}
        assert set(repository.git.files(head, "folder", 20).values()) == {b"folder/old.txt\n", None}
    work = bare.parent / "work"
    os.symlink("/etc/passwd", work / "folder" / "odd\nname")
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "A link")
    head, local = git(work, "rev-parse", "HEAD").strip(), Git(str(work / ".git"))
    assert local.find("HEAD") == head
    assert local.files(head, "folder", 100)["folder/odd\nname"] is None
    for name in ("missing", "--all", "HEAD:folder", ""):
        with pytest.raises(NotFound, match="has no commit"):
            local.find(name)


def packets(trace):
    """Return how many bytes of objects came with a fetch, by Git's own trace of it."""
    return len(trace.read_bytes()) if trace.exists() else 0


def test_what_was_fetched_is_not_fetched_again(bare, tmp_path, monkeypatch):
    work, trace = bare.parent / "work", tmp_path / "pack"
    (work / "large.bin").write_bytes(os.urandom(1 << 20))
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "Large")
    git(work, "push", "--quiet", str(bare), "HEAD:main")
    kept = Git.__init__

    def traced(self, *arguments, **options):
        kept(self, *arguments, **options)
        self._environment["GIT_TRACE_PACKFILE"] = str(trace)

    monkeypatch.setattr(Git, "__init__", traced)
    with Repository(f"file://{bare}", "main") as repository:
        repository.fetch()
        assert packets(trace) > 1 << 20
        for change in ("", "a small change\n"):
            trace.unlink()
            if change:
                (work / "a.txt").write_text(change)
                git(work, "commit", "--quiet", "-a", "-m", "Small")
                git(work, "push", "--quiet", str(bare), "HEAD:main")
            head = repository.fetch()
            assert head == git(work, "rev-parse", "HEAD").strip()
            assert packets(trace) < 4096
        assert repository.git.read(head, "a.txt", 100) == b"a small change\n"


def test_a_repository_that_refuses_says_so(bare, tmp_path):
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho this branch is protected >&2\nexit 1\n")
    hook.chmod(0o755)
    with Repository(str(bare), "main") as repository:
        head = repository.fetch()
        commit = repository.commit(head, "folder", {"folder/a.txt": b"two\n"}, "Change")
        with pytest.raises(CommitRefused, match="this branch is protected"):
            repository.push(commit, head)
    with Repository(str(bare), "another") as repository, pytest.raises(Unavailable, match="cannot be read"):
        repository.fetch()
    with Repository(str(tmp_path / "missing.git"), "main") as repository, pytest.raises(Unavailable):
        repository.fetch()


def test_after_a_command_that_hung_it_goes_on(bare, tmp_path, monkeypatch):
    """A killed fetch leaves a lock behind, which must not stop the next one."""
    work, slow = bare.parent / "work", tmp_path / "slow"
    (work / "large.bin").write_bytes(os.urandom(4 << 20))
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "Large")
    git(work, "push", "--quiet", str(bare), "HEAD:main")
    relay = tmp_path / "relay"
    relay.write_text(
        "#!/bin/sh\n"
        "for last; do :; done\n"
        f'[ -e {slow} ] || exec sh -c "$last"\n'
        'mkfifo "$0.$$"; sh -c "$last" > "$0.$$" & head -c 2000000 "$0.$$"; exec sleep 60\n'
    )
    relay.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(relay))
    with Repository(f"ssh://host{bare}", "main", seconds=3) as repository:
        slow.touch()
        with pytest.raises(Unavailable, match="does not answer"):
            repository.fetch()
        slow.unlink()
        head = repository.fetch()
        assert repository.git.read(head, "a.txt", 100) == b"one\n"


def test_without_room_for_its_work_it_says_so(bare, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with Repository(str(bare), "main") as repository, pytest.raises(Unavailable, match="no temporary folder"):
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
