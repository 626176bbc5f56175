"""`python -m signed_parameters` is the command `signed-parameters`, where no command is installed."""

from signed_parameters.cli import main

if __name__ == "__main__":
    main(prog_name="signed-parameters")
