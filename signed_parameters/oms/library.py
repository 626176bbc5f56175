"""The `model_signing` library, which is imported only where it is used, and what is asked of it."""

from typing import Any

from signed_parameters.errors import ConfigurationError

NOT_LOOKED_AT = (".git", ".gitattributes", ".github", ".gitignore")
"""What the library leaves out of a folder unless it is told otherwise."""

_LONGEST_REPORT = 500


def library() -> Any:
    """Return the library.

    Raises:
        ConfigurationError: it is not installed, or a part of it.
    """
    try:
        import model_signing
    except ImportError as error:
        raise ConfigurationError(
            "OpenSSF model signing is not installed here",
            found=str(error),
            remedy="Run `pip install 'signed-parameters[oms]'`.",
        ) from None
    return model_signing


def report(error: Exception) -> str:
    """Return what the library said, shortened."""
    return shortened(str(error) or type(error).__name__)


def shortened(text: str) -> str:
    """Return the beginning of a text that an attacker may have made long."""
    return text[:_LONGEST_REPORT]
