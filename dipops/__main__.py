"""``python -m dipops``: the command line."""

from dipops.cli import main

main()
