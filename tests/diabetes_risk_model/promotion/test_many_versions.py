"""A registry with many versions: a look that finds nothing new asks little."""

from urllib.parse import urlsplit

from diabetes_risk_model.promotion.watcher import UNCHANGED
from signed_parameters.storage.careful_pool import CarefulPool

VERSIONS = 200


def test_a_look_that_finds_nothing_new_fetches_no_package(world, monkeypatch):
    number = world.register(1)
    described = world.registry().version(number).tags
    for _ in range(VERSIONS - 1):
        last = world.create_version(described)
    assert int(last) == VERSIONS
    world.alias("staging", number)
    watcher = world.watcher()
    watcher.once()
    asked, urlopen = [], CarefulPool.urlopen

    def counted(self, method, url, *arguments, **options):
        asked.append((method, urlsplit(url).path))
        return urlopen(self, method, url, *arguments, **options)

    monkeypatch.setattr(CarefulPool, "urlopen", counted)
    assert watcher.once()[0].state == UNCHANGED
    prefix = "/api/2.0/mlflow/"
    (*registry, (_, last_path)) = asked
    assert registry == [("GET", f"{prefix}registered-models/get"), ("GET", f"{prefix}model-versions/get")]
    assert last_path.endswith(".zip.dsse.json"), "whether the deployed envelope is there is one small request"
    asked.clear()
    world.alias("staging", last)
    watcher.once()
    assert [path for _, path in asked if path.endswith(".zip")], "what is counted has to include packages"


def test_a_refused_package_is_not_fetched_at_every_look(world, monkeypatch):
    number = world.register(1)
    world.alias("staging", number)
    world.tamper(1)
    watcher = world.watcher()
    reason = watcher.once()[0].detail
    asked, urlopen = [], CarefulPool.urlopen

    def counted(self, method, url, *arguments, **options):
        asked.append(urlsplit(url).path)
        return urlopen(self, method, url, *arguments, **options)

    monkeypatch.setattr(CarefulPool, "urlopen", counted)
    assert watcher.once()[0].detail == reason
    assert not [path for path in asked if path.endswith(".zip")]
    assert world.watcher().once()[0].detail == reason
    assert [path for path in asked if path.endswith(".zip")], "a new watcher looks again"
