"""``python -m lstmbridge``: the command line."""

from lstmbridge.cli import main

if __name__ == "__main__":
    main(prog_name="lstmbridge")
