"""Keys of a role, which AWS gives to service accounts and containers and exchanges for new ones before they expire.

What runs a program there says by the environment where they are asked for:

    AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN           of a service account of EKS, asked of AWS's token service, or of
                                                        the one that AWS_ENDPOINT_URL_STS names
    AWS_CONTAINER_CREDENTIALS_FULL_URI, or              of EKS Pod Identity and ECS, with what is in
    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI              AWS_CONTAINER_AUTHORIZATION_TOKEN, or in the file that
                                                        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names

A machine's own role, which any program on it could use, is not asked for.
"""

import os
import re

import urllib3
from minio.credentials.credentials import Credentials
from minio.credentials.providers import IamAwsProvider, Provider
from minio.error import MinioException

from signed_parameters.errors import AccessDenied, Unavailable
from signed_parameters.limits import Limits
from signed_parameters.storage.careful_pool import CarefulPool, TookTooLong, careful_pool

_TOKEN_FILE = "AWS_WEB_IDENTITY_TOKEN_FILE"
_CONTAINER = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
_TOKEN_SERVICE = "https://sts.amazonaws.com"
_STATUS = re.compile(r"HTTP status code ([0-9]{3})$")


def is_there_a_role() -> bool:
    """Return whether the environment names one."""
    return any(os.environ.get(name) for name in (_TOKEN_FILE, *_CONTAINER))


class RoleKeys(Provider):
    """The keys of the role that the environment names.

    Args:
        region: whose token service is asked.
        limits: bounds on waiting.
    """

    def __init__(self, region: str, limits: Limits) -> None:
        service = os.environ.get("AWS_ENDPOINT_URL_STS")
        by_token = bool(os.environ.get(_TOKEN_FILE))
        # A container's own address is on the machine, where no proxy leads.
        pool = careful_pool(service or _TOKEN_SERVICE, limits) if by_token else CarefulPool(limits)
        self._provider = IamAwsProvider(custom_endpoint=service if by_token else None, http_client=pool, region=region)

    def retrieve(self) -> Credentials:
        """Return the keys; new ones where those of before expire.

        Raises:
            AccessDenied: they are refused, or what comes are no keys.
            Unavailable: who gives them does not answer.
        """
        # What fails may name the token in its text, as a part of a URL.
        try:
            return self._provider.retrieve()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(
                "who gives the keys of the role for S3 does not answer",
                found="it took too long" if isinstance(error, TookTooLong) else type(error).__name__,
                remedy="Check the variables AWS_..., and the way to the address that they name.",
            ) from None
        except (MinioException, ValueError, LookupError, TypeError, AttributeError, SyntaxError) as error:
            status = _STATUS.search(str(error))
            raise AccessDenied(
                "there are no keys of the role for S3",
                expected="keys for a token that AWS takes",
                found=f"HTTP {status[1]}" if status else type(error).__name__,
                remedy="Check the role, whom it trusts, and the file or the variable with the token.",
            ) from None
