"""Tables as text: Markdown, CSV and LaTeX, of heads and rows of cells, without a newline at the end."""

import csv as csv_format
import io
import re
import unicodedata
from collections.abc import Iterable

Cells = Iterable[object]
_GREEK = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"


def _greek(letter: str) -> str:
    """The LaTeX command of a Greek letter."""
    name = unicodedata.name(letter).split()[-1].replace("LAMDA", "LAMBDA")
    return f"$\\{name.lower() if letter.islower() else name.capitalize()}$"


_LATEX = {
    **{plain: f"\\{plain}" for plain in "&%_#${}"},
    **{plain: f"${plain}$" for plain in "<>|"},
    **{"[": "{[}", "*": "{*}", "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "–": "--", "‖": r"$\|$", "×": r"$\times$", "≤": r"$\le$", "≥": r"$\ge$", "∞": r"$\infty$", "−": "$-$"},
    **{letter: _greek(letter) for letter in _GREEK},
    "ℓ": r"$\ell$",
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
