"""Tables as text: Markdown, CSV and LaTeX, of heads and rows of cells, without a newline at the end."""

import csv as csv_format
import io
import re
from collections.abc import Iterable

Cells = Iterable[object]
_LATEX = {
    **{plain: f"\\{plain}" for plain in "&%_#${}"},
    **{plain: f"${plain}$" for plain in "<>|"},
    **{"[": "{[}", "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "–": "--", "σ": r"$\sigma$", "λ": r"$\lambda$", "‖": r"$\|$", "×": r"$\times$"},
}
_MINUS = re.compile(r"(?<!\w)-(?=\d)")


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


def latex(heads: Cells, rows: Iterable[Cells], texts: int = 1) -> str:
    """The table as a LaTeX tabular that needs no package; its first columns are texts, the others numbers.

    A row without cells is a rule.
    """
    heads, escape = list(heads), str.maketrans(_LATEX)
    first, *lines = (
        " & ".join(_MINUS.sub("$-$", str(cell).translate(escape)) for cell in row) + r" \\" if row else r"\hline"
        for row in (heads, *map(list, rows))
    )
    columns = "l" * texts + "r" * (len(heads) - texts)
    body = [r"\hline", first, r"\hline", *lines, r"\hline"]
    return "\n".join([f"\\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}"])
