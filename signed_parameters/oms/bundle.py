"""Reading a bundle: a Sigstore bundle that holds a DSSE envelope, signed with a key."""

import binascii
import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signed_parameters.errors import MalformedPackage
from signed_parameters.limits import MEBIBYTE
from signed_parameters.storage import FileStorage

_MAXIMUM_BYTES = 16 * MEBIBYTE
_PREDICATE_TYPE = "https://model_signing/signature/v1.0"


@dataclass(frozen=True)
class Bundle:
    """A bundle. That it could be read says nothing of whether its signature holds.

    Attributes:
        key: SHA-256 of the public key that it claims to be signed by, in hexadecimal.
        serialization: how the files were hashed.
        resources: the hashes, each with the name of what was hashed.
        content: the bundle written anew, with nothing but what was read here.
    """

    key: str
    serialization: dict[str, Any]
    resources: list[dict[str, Any]]
    content: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the files that it covers, in order."""
        names = {str(resource["name"]) for resource in self.resources}
        if self.serialization["method"] == "shards":
            names = {name.rsplit(":", 2)[0] for name in names}  # NAME:BEGIN:END
        return tuple(sorted(names))


def read_bundle(path: Path) -> Bundle:
    """Read a bundle.

    Raises:
        StorageError: the file cannot be read, or is larger than 16 MiB.
        MalformedPackage: it is no bundle, one that was not signed with a key, or one of a version before 1.0.
    """
    data = FileStorage(path.parent).read(path.name, _MAXIMUM_BYTES)
    try:
        fields = json.loads(data)
        envelope = fields["dsseEnvelope"]
        (signature,) = envelope["signatures"]
        statement = json.loads(b64decode(envelope["payload"], validate=True))
        if statement["predicateType"] != _PREDICATE_TYPE:
            raise ValueError("an older version does not say how it hashed")
        key = str(fields["verificationMaterial"]["publicKey"]["hint"])
        # Written anew, so that the library cannot take another member for one of these.
        content = {
            "mediaType": fields["mediaType"],
            "verificationMaterial": {"publicKey": {"hint": key}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": envelope["payload"],
                "payloadType": envelope["payloadType"],
                "signatures": [{"sig": signature["sig"], "keyid": ""}],
            },
        }
        predicate = statement["predicate"]
        bundle = Bundle(key, dict(predicate["serialization"]), list(predicate["resources"]), json.dumps(content))
        if not bundle.names:
            raise ValueError("it covers nothing")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise MalformedPackage(
            f"{path} is no bundle that can be checked",
            expected="a signature of files, made with a key by OpenSSF model signing 1.0 or later",
        ) from None
    return bundle
