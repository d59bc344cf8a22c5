"""The code that stands in the pages: it is run by the tests, timed beside its peers, and shown with what it prints."""

import re
from pathlib import Path


def code_of(page: Path, language: str = "python") -> list[str]:
    """Every block of a language in a Markdown page, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.S | re.M)
