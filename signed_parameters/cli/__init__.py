"""The command `signed-parameters`.

Exit status: 0 done, 1 refused by verification, 2 usage or configuration, 3 storage. With `--json`, what a command has
to say goes to standard output as one JSON object, errors included.

* `keys`: the commands that make keys.
* `packages`: those that make and look at packages.
* `stores`: those that move packages.
* `options`, `answers`: what commands are asked, and how they answer.
"""

import click

from signed_parameters import __version__
from signed_parameters.cli.answers import Commands
from signed_parameters.cli.keys import keygen
from signed_parameters.cli.packages import build, inspect, sign, verify
from signed_parameters.cli.stores import pull, push


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="signed-parameters")
def main() -> None:
    """Sign model parameters where you train, verify them where you serve."""


for _command in (keygen, build, sign, verify, inspect, push, pull):
    main.add_command(_command)
