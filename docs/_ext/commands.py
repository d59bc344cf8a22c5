"""Writes the page of the command line from the program itself."""

import typer
from written import put

from dipops.cli.app import app

_HEAD = """Commands
========

Every command with its arguments and options, as ``dipops COMMAND --help`` prints them. The exit code is 0 when all went well,
1 when what was asked is not so (a law is broken, an exercise is wrong), 2 for bad input, and 130 after Ctrl-C.
"""


def write(path):
    """The page of all commands, those of groups too."""
    put(path, "\n".join([_HEAD, *_sections("dipops", typer.main.get_command(app))]) + "\n")


def _sections(name, command):
    commands = getattr(command, "commands", None)
    if commands is None:
        return _section(name, command)
    return [line for key, each in commands.items() for line in _sections(f"{name} {key}", each)]


def _section(name, command):
    """A heading, the usage, the help and a table of the arguments and options."""
    context = typer.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    lines = [name, "-" * len(name), "", ".. code-block:: console", "", f"   $ {usage}", "", *_help(command.help), ""]
    rows = [_row(parameter, context) for parameter in command.params if not getattr(parameter, "hidden", False)]
    return [*lines, ".. list-table::", "   :widths: 30 70", "", *rows, ""] if rows else lines


def _help(text):
    return (text or "").split("\n")


def _row(parameter, context):
    names, words = parameter.get_help_record(context) or (parameter.name.upper(), parameter.help or "")
    return f"   * - ``{names}``\n     - {' '.join(words.split())}"
