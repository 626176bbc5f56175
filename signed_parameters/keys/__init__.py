"""Keys: who may sign, who is trusted, and when.

* `signing_key`, `verification_key`: what training holds, and what serving gets. `algorithms` are theirs.
* `files`: where keys are kept. `encryption`: private keys under a passphrase.
* `keyring`, `keyring_file`: which keys are trusted, and in which time. `references`: secrets that they name.
"""
