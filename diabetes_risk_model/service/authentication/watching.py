"""The users of a running service: their file is read again when it changes."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from diabetes_risk_model.service.authentication.users import Users, file_version, read_users
from signed_parameters import ConfigurationError

LOOK_SECONDS = 1.0

_logger = logging.getLogger(__name__)


class NoUsers(Exception):
    """The users file is not usable any more. Nobody is let in until it is mended."""


class WatchedUsers:
    """The users file, looked at once a second at most, when somebody asks."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file.

        Args:
            path: the file.
            clock: gives the time in seconds.

        Raises:
            ConfigurationError: it is not usable.
        """
        self._path = path
        self._clock = clock
        self._users: Users | None = read_users(path)
        self._seen: tuple[int, ...] | None = self._users.version
        self._next_look = clock() + LOOK_SECONDS

    def current(self) -> Users:
        """Return the users: the same object for as long as the file stays the same.

        Raises:
            NoUsers: the file was removed, damaged, or opened to others.
        """
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._look()
        if self._users is None:
            raise NoUsers
        return self._users

    def _look(self) -> None:
        try:
            seen: tuple[int, ...] | None = file_version(os.stat(self._path))
        except OSError:
            seen = None
        if seen == self._seen:
            return
        try:
            self._users = read_users(self._path)
        except ConfigurationError as error:
            # Whom the file was to shut out cannot be known, so everybody is.
            self._users, self._seen = None, seen
            _logger.error("Nobody is let in until the users file is mended. %s", error)
        else:
            self._seen = self._users.version
            _logger.info("Read the users file again: %d users.", len(self._users.hashes))
