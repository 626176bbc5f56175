"""The command `signed-parameters`.

Exit status: 0 done, 1 refused by verification, 2 usage or configuration, 3 storage, 130 and 143 ended by SIGINT and
SIGTERM. With `--json`, what a command has to say goes to standard output as one JSON object, errors included.

* `keys`: the command that makes keys, `rotation`: those that replace them and end their time.
* `packages`: those that make and look at packages.
* `stores`: those that move packages. `latest`: those about a model's line of them.
* `initializing`: the one that fills a model server's folder before the server starts.
* `resigning`: the one that signs again what is signed already.
* `policy`: the command that checks a policy file.
* `inline`, `oms`: the older inline form, and bundles of OpenSSF model signing.
* `options`, `passphrases`, `answers`: what commands are asked, and how they answer. `signals`: how they are ended.
"""

import click

from signed_parameters import __version__
from signed_parameters.cli.answers import Commands
from signed_parameters.cli.initializing import initialize
from signed_parameters.cli.keys import keygen
from signed_parameters.cli.latest import latest, next_serial
from signed_parameters.cli.oms import oms
from signed_parameters.cli.packages import build, inspect, sign, verify
from signed_parameters.cli.policy import check_policy
from signed_parameters.cli.resigning import resign
from signed_parameters.cli.rotation import retire, revoke, rotate, show_keys
from signed_parameters.cli.stores import pull, push


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="signed-parameters")
def main() -> None:
    """Sign model parameters where you train, verify them where you serve."""


for _command in (
    keygen,
    rotate,
    retire,
    revoke,
    show_keys,
    build,
    sign,
    verify,
    inspect,
    push,
    pull,
    initialize,
    latest,
    next_serial,
    resign,
    check_policy,
    oms,
):
    main.add_command(_command)
