"""Tables as text."""

from collections.abc import Iterable, Sequence


def markdown(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table of heads and rows, without a line break at its end."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
