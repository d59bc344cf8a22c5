"""``python -m dipops``: the command line."""

from dipops.cli.app import main

main()
