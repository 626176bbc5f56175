"""A round of the watcher: stages one after the other, others at work, and what does not answer."""

import threading
import time
from types import SimpleNamespace

import pytest

from diabetes_risk_model.promotion import packages
from diabetes_risk_model.promotion.registry import Registry
from diabetes_risk_model.promotion.repository import Repository
from diabetes_risk_model.promotion.watcher import FAILED, PROMOTED, REFUSED, UNCHANGED
from signed_parameters import (
    Unavailable,
)


def test_a_commit_that_the_server_refuses_is_not_made_again_at_every_look(world, monkeypatch):
    number = world.register(1)
    world.alias("staging", number)
    hook = world.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    fetched, fetch = [], packages.fetch

    def counted(*arguments):
        fetched.append(arguments)
        return fetch(*arguments)

    monkeypatch.setattr(packages, "fetch", counted)
    watcher = world.watcher()
    for _ in range(2):
        assert watcher.once()[0].state == REFUSED
    assert len(fetched) == 1
    assert world.tag(number).startswith("refused: CommitRefused: ")


def test_two_stages_that_change_in_one_look_take_one_fetch_of_each_package(world, monkeypatch):
    number = world.register(1)
    world.policy("production")
    for stage in ("staging", "production"):
        world.alias(stage, number)
    fetched, fetch = [], packages.fetch

    def counted(*arguments):
        fetched.append(arguments)
        return fetch(*arguments)

    monkeypatch.setattr(packages, "fetch", counted)
    assert [outcome.state for outcome in world.watcher().once()] == [PROMOTED, PROMOTED]
    assert len(fetched) == 2


class Away:
    """Lets a step fail so many times, as if its server were away, and notes the pauses between."""

    def __init__(self, monkeypatch, kind, name, times):
        self.pauses, self._left, self._step = [], times, getattr(kind, name)
        monkeypatch.setattr(kind, name, lambda *arguments, **options: self._run(*arguments, **options))
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=self.pauses.append)
        monkeypatch.setattr("diabetes_risk_model.promotion.watcher.time", clock)

    def _run(self, *arguments, **options):
        if self._left:
            self._left -= 1
            raise Unavailable("it is away")
        return self._step(*arguments, **options)


@pytest.mark.parametrize(("kind", "name"), [(Registry, "aliases"), (Repository, "fetch"), (Repository, "push")])
def test_what_does_not_answer_is_tried_again_after_longer_and_longer_pauses(world, monkeypatch, kind, name):
    world.alias("staging", world.register(1))
    watcher = world.watcher()
    away = Away(monkeypatch, kind, name, 3)
    assert watcher.once()[0].state == PROMOTED
    first, second, third = away.pauses
    assert 1.5 * 0.005 <= second <= 2 * 0.015
    assert 0.005 <= first <= 0.015
    assert 4 * 0.005 <= third <= 4 * 0.015
    Away(monkeypatch, kind, name, 5)
    world.policy("staging", maximum_age="90d")
    if name == "push":
        assert watcher.once()[0].state == FAILED
    else:
        with pytest.raises(Unavailable):
            watcher.once()


def test_two_watchers_at_once_make_one_commit(world, monkeypatch):
    number = world.register(1)
    world.alias("staging", number)
    together, push = threading.Barrier(2), Repository.push
    waited = threading.local()

    def push_together(self: Repository, commit: str, parent: str) -> bool:
        if not getattr(waited, "done", False):
            waited.done = True
            together.wait(60)
        return push(self, commit, parent)

    monkeypatch.setattr(Repository, "push", push_together)
    before, outcomes = len(world.commits()), []
    watchers = [world.watcher() for _ in range(2)]
    threads = [threading.Thread(target=lambda w=w: outcomes.append(w.once()[0])) for w in watchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(outcome.state for outcome in outcomes) == [PROMOTED, UNCHANGED]
    assert len(world.commits()) == before + 1


def test_a_commit_of_somebody_else_in_between_is_kept(world, monkeypatch):
    number = world.register(1)
    world.alias("staging", number)
    push, done = Repository.push, []

    def push_late(self: Repository, commit: str, parent: str) -> bool:
        if not done:
            done.append(parent)
            world.review("README.md", b"by a person\n", "A person's commit")
        return push(self, commit, parent)

    monkeypatch.setattr(Repository, "push", push_late)
    assert world.once().state == PROMOTED
    assert world.commits()[:2] == [f"Promote staging to {world.model} 2026_0001 (serial 1)", "A person's commit"]
