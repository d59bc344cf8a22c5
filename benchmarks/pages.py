"""The code in the pages: the tests run it, ``benchmarks.peers`` times it, and the site shows what it prints."""

import re
from pathlib import Path


def code_of(page: Path, language: str = "python") -> list[str]:
    """Every block of a language in a Markdown page, in their order."""
    return block_of(language).findall(page.read_text())


def block_of(language: str) -> re.Pattern[str]:
    """A block of a language, whose code is the group."""
    return re.compile(rf"^```{language}\n(.*?)^```\n?", re.S | re.M)
