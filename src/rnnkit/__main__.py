"""Lets `python -m rnnkit` stand for the `rnnkit` command."""

from rnnkit.cli.app import main

if __name__ == "__main__":
    main()
