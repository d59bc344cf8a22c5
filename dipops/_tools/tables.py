"""Tables as text: Markdown, CSV and LaTeX, of heads and rows of cells, without a newline at the end."""

import csv as csv_format
import io
from collections.abc import Iterable

Cells = Iterable[object]
_LATEX = {**{plain: f"\\{plain}" for plain in "&%_#"}, "±": r"$\pm$", "–": "--", "σ": r"$\sigma$", "‖": r"$\|$"}


def markdown(heads: Cells, rows: Iterable[Cells]) -> str:
    """The table in Markdown."""
    heads = list(heads)
    lines = (map(str, row) for row in (heads, ["---"] * len(heads), *rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def csv(heads: Cells, rows: Iterable[Cells]) -> str:
    """The table as comma-separated values."""
    text = io.StringIO()
    csv_format.writer(text, lineterminator="\n").writerows([heads, *rows])
    return text.getvalue().rstrip("\n")


def latex(heads: Cells, rows: Iterable[Cells]) -> str:
    """The table as a LaTeX tabular with the rules of booktabs; its first column is text, the others are numbers."""
    heads, escape = list(heads), str.maketrans(_LATEX)
    first, *lines = (" & ".join(str(cell).translate(escape) for cell in row) + r" \\" for row in (heads, *rows))
    columns = "l" + "r" * (len(heads) - 1)
    body = [r"\toprule", first, r"\midrule", *lines, r"\bottomrule"]
    return "\n".join([f"\\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}"])
