"""Where packages and envelopes are kept: one module for each kind of place, chosen by the address.

`base` has the interface that verification is written against; `file` is a folder, `s3` a bucket of any S3 server.
"""

from signed_parameters.storage.base import Download, Storage
from signed_parameters.storage.choose import locate, open_storage
from signed_parameters.storage.file import FileStorage

__all__ = ["Download", "FileStorage", "Storage", "locate", "open_storage"]
