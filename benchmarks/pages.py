"""The code in the pages: the tests run it, ``benchmarks.peers`` times it, and the site shows what it prints."""

import re
from pathlib import Path


def code_of(page: Path, language: str = "python") -> list[str]:
    """Every block of a language in a Markdown page, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.S | re.M)
