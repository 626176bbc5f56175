"""Where packages and envelopes are kept: one module for each kind of place, chosen by the address.

`base` has the interface that verification is written against. `file` is a folder, `s3` a bucket of any S3 server (with
`s3_settings`), `clouds` one of Google or Azure (with `cloud_settings`), `https` any web server. `remotes` opens these
for the names of rclone's remotes. `careful_pool` makes connections to servers that are not trusted. `choose` reads
addresses.
"""

from signed_parameters.storage.base import Download, Found, Storage
from signed_parameters.storage.choose import locate, open_storage
from signed_parameters.storage.file import FileStorage

__all__ = ["Download", "FileStorage", "Found", "Storage", "locate", "open_storage"]
