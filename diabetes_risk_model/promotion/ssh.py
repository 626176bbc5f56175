"""Git over SSH: the limits that its program gets besides what GIT_SSH_COMMAND says, and what its refusals mean."""

from collections.abc import Sequence

from signed_parameters import AccessDenied

_ANSWER_SECONDS = 15
_SAID_BY_SSH = ("ssh:", "Connection ", "kex_exchange_identification:", "Host key ", "No ", "Permission denied")
_PIN = (
    "Get the host's key from whoever runs it, not from the network, and pin it: "
    "GIT_SSH_COMMAND='ssh -o UserKnownHostsFile=FILE'."
)


def command(given: str, answer_seconds: int = _ANSWER_SECONDS) -> str:
    """Return the command by which Git reaches hosts: what was given, or else `ssh`. It never asks, and waits not long.

    Args:
        given: the value of GIT_SSH_COMMAND; empty where there is none. OpenSSH takes the first value that it is given
            for an option, so what stands there holds.
        answer_seconds: how long a host may say nothing, until it has let us in and, twice over, afterwards.
    """
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "ConnectTimeout": f"{answer_seconds}",
        "ServerAliveInterval": f"{answer_seconds}",
        "ServerAliveCountMax": "2",
    }
    return " ".join([given.strip() or "ssh", *(f"-o {name}={value}" for name, value in options.items())])


def reasons(lines: Sequence[str]) -> list[str]:
    """Return those lines of Git's complaints that are SSH's own."""
    return [line.strip() for line in lines if line.strip().startswith(_SAID_BY_SSH) or ": Permission denied (" in line]


def refusal(address: str, lines: Sequence[str]) -> AccessDenied | None:
    """Return what SSH refused, as an error that trying again cannot help; None where that was not the reason.

    Args:
        address: of the repository.
        lines: what Git and SSH wrote to standard error.
    """
    ours = [line for line in lines if not line.startswith("remote:")]  # what a server's hooks say proves nothing
    text = "\n".join(ours)
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in text:
        return AccessDenied(
            f"the host of the repository {address} is not the one that is known",
            expected="the host key that is pinned",
            found="another one: the host was set up anew, or somebody is in between",
            remedy=_PIN,
        )
    if "Host key verification failed" in text:
        return AccessDenied(
            f"the host of the repository {address} is not known",
            expected="its host key among the known hosts",
            found="none of its keys there",
            remedy=_PIN,
        )
    if denied := [line for line in ours if "Permission denied (" in line]:
        return AccessDenied(
            f"the host of the repository {address} refuses the SSH key",
            expected="a key that may push there, which only this user can read, and without a passphrase",
            found=denied[-1].strip()[:200],
            remedy="Name the key's file: GIT_SSH_COMMAND='ssh -i FILE -o IdentitiesOnly=yes'.",
        )
    return None
