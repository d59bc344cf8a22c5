"""The command line in the process of the tests."""

import sys

import pytest

from dipops.cli.app import main


def run(*arguments: object) -> int:
    """Exit code of ``dipops`` with these arguments, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["dipops", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)
