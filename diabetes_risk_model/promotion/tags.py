"""What a model version carries in the registry. Tags say where to look; what they claim is compared, never believed."""

from collections.abc import Mapping

from signed_parameters import DigestMismatch, Statement
from signed_parameters.envelope import Envelope

PACKAGE_URI = "signed_parameters.package_uri"
DIGEST = "signed_parameters.digest"
SERIAL = "signed_parameters.serial"
KEY_ID = "signed_parameters.key_id"
_STATE = "promotion."
_LONGEST = 2_000


def describe(uri: str, statement: Statement, key_id: str) -> dict[str, str]:
    """Return the tags of a signed package."""
    return {
        PACKAGE_URI: uri,
        DIGEST: str(statement.package_digest),
        SERIAL: str(statement.serial),
        KEY_ID: key_id,
    }


def check(tags: Mapping[str, str], statement: Statement, envelope: Envelope) -> None:
    """Compare what tags claim with what was signed.

    Raises:
        DigestMismatch: one claims something else.
    """
    found, key_ids = tags.get(KEY_ID, "nothing"), [signature.key_id for signature in envelope.signatures]
    claims = [
        ("digest", str(statement.package_digest), tags.get(DIGEST, "nothing")),
        ("serial", str(statement.serial), tags.get(SERIAL, "nothing")),
        ("key id", found if found in key_ids else " or ".join(key_ids), found),
    ]
    for what, signed, claimed in claims:
        if claimed != signed:
            raise DigestMismatch(
                f"the version's tag for the {what} does not agree with the signed statement",
                expected=signed,
                found=claimed[:200],
                remedy="Find out who wrote the tag, then register the package again.",
            )


def describes(tags: Mapping[str, str], digest: str, serial: int) -> bool:
    """Tell whether tags claim that the package is this one."""
    return (tags.get(DIGEST), tags.get(SERIAL)) == (digest, str(serial))


def state_tag(stage: str) -> str:
    """Return the name of the tag that says what became of a version in a stage."""
    return _STATE + stage


def shortened(text: str) -> str:
    """Return a text that fits into a tag, without its end where it is long."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
