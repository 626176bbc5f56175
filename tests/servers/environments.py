"""The environments of the servers, made by `python -m tests.servers.environments`; without them the tests skip.

MLServer's and Seldon's are those of the benchmarks. `beside_a_server` holds what the components need, whose server's
own packages stay as they are.
"""

import sys
from pathlib import Path

import pytest

from benchmarks.load import LoadError
from benchmarks.peers import environments
from benchmarks.services import ROOT

HERE = Path(__file__).parent
LOCKS = {
    "mlserver": environments.HERE,
    "seldon": environments.HERE,
    "kserve": HERE,
    "beside_a_server": ROOT / "deployment",
}


def environment(name: str) -> Path:
    """Return the folder of an environment, or skip the test."""
    found = environments.made_environment(name, LOCKS[name])
    if found is None:
        pytest.skip(f"the environment {name} is not made: python -m tests.servers.environments")
    return found


def main() -> int:
    """Make all of them."""
    try:
        for name, locks in LOCKS.items():
            print(environments.environment_of(name, locks))
    except LoadError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
