"""The command line: one file per group of commands; the docstring of a command is its help."""
