"""Bundles of OpenSSF model signing (OMS), for those who check folders of files with its tools.

The `model_signing` library does the work, and the extra `oms` brings it. It signs with a key on the curve P-256, P-384
or P-521, in a PEM file. It takes no Ed25519 key, so such a key pair is one more to keep beside the keys of ours.

A bundle says which files a folder holds. It names no version, serial or time, and its name of the model is not checked.
So it adds to an envelope of ours and replaces none. These functions close what can be closed on top of the library: a
file that the bundle does not cover is refused, even below `.git`, where the library does not look.

* `folders`: signing and verifying any folder.
* `packages`: the same for the files of a package of ours.
* `bundle`, `keys`: what they read. `library`: what they call.
"""

from signed_parameters.oms.folders import sign_folder, verify_folder
from signed_parameters.oms.packages import verify_bundle, write_bundle

__all__ = ["sign_folder", "verify_bundle", "verify_folder", "write_bundle"]
