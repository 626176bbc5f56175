"""The watcher's sign of life: a file with the time of the last round's end, by which a probe notices that it hangs."""

import time
from pathlib import Path

from signed_parameters import ConfigurationError

VARIABLE = "PROMOTION_HEARTBEAT"
LIMIT_SECONDS = 900.0  # more than a round of two stages takes where nothing answers: docs/promotion.md


def beat(path: Path) -> None:
    """Give a file the present time, and make it if it is missing.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        path.touch()
    except OSError as error:
        raise ConfigurationError(
            f"the heartbeat {path} cannot be written",
            found=error.strerror or type(error).__name__,
            remedy=f"Let {VARIABLE} name a file in a folder that the watcher may write to.",
        ) from None


def age(path: Path) -> float | None:
    """Return for how many seconds there was no beat; None where there was none yet."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None
