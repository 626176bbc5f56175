import pytest

from benchmarks import authentication


def test_what_it_costs_is_measured_and_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_TOKEN_SECRET", "only for this test, and long enough")
    costs = authentication.measure(tokens=20)
    assert min(costs.first, costs.again, costs.password) > 0
    monkeypatch.setattr(authentication, "measure", lambda: costs)
    authentication.main()
    assert len(capsys.readouterr().out.splitlines()) == 3
