"""What a study found: a table in several forms, a line for each run, and a figure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING

from torch import Tensor

from dipops import plot
from dipops._tools import tables
from dipops.contestants import ANSWER
from dipops.errors import BadValue, nearest
from dipops.problem import Problem
from dipops.study.measurement import drawn
from dipops.study.records import Name, Record, scores_of
from dipops.study.rows import COLUMNS, EMPTY, PSNR, SSIM, Row, cells_of, failures_of, measured_by, notes_of, row_of
from dipops.study.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BESIDES = ("data PSNR (dB)", "steps", "ended")


@dataclass(frozen=True)
class Study:
    """Runs of many problems, contestants and seeds.

    The columns of a contestant that iterates a generator: its answer, as ``solve`` or its recipe gives it; the last output;
    the average; what a stop without the ground truth kept; and the oracle, the best step by the ground truth, which nobody
    can have. PSNR and SSIM are of values clipped to [0, 1].

    Attributes:
        problems: by operator, or None, and image; y as it was given.
        records: of each run by its key in the store, in the order of problems, contestants and seeds: its names and seeds under
            "run", scores by column and metric, the step that each column is from, seconds of all its work, and what it was
            made with; of one that failed the reason under "failure".
        store: the folder of the runs, with the image of each.
    """

    problems: Mapping[Name, Problem] = field(repr=False)
    records: Mapping[str, Record] = field(repr=False)
    store: Store = field(repr=False)

    def table(self, reference: str | None = None) -> list[Row]:
        """One row for each operator and contestant, as plain values; None where there is nothing.

        ``psnr`` and ``ssim`` of the answer, and the PSNR of the other columns, are means over the seeds of each image and then
        over the images; ``..._sd`` the standard deviations, over seeds, of the mean over images. ``difference`` in PSNR from
        the reference is paired by image: its mean, the ends ``low`` and ``high`` of its 95% confidence interval, and ``p`` of
        Wilcoxon's signed-rank test over ``pairs`` images. ``ended`` says why the solve ended, where there was one alone.

        Args:
            reference: the contestant that all others are compared with; by default the first.

        Raises:
            BadValue: there is no such contestant.
        """
        reference = self._reference(reference)
        return [
            row_of(operator, name, self._runs(operator, name), self._runs(operator, reference))
            for operator in self._operators()
            for name in self._contestants()
        ]

    def markdown(self, reference: str | None = None) -> str:
        """The table in Markdown, with notes that say what it shows and what failed."""
        heads, rows = self._cells(reference)
        notes = "\n".join(f"- {note}" for note in self.notes(reference))
        return f"{tables.markdown(heads, rows)}\n\n{notes}\n"

    def latex(self, reference: str | None = None) -> str:
        """The table as a LaTeX tabular, without data PSNR, steps and ends; its notes are comments.

        It needs no package. With all columns it is wider than a page of one column: scale it down, or turn the page.
        """
        heads, rows = self._cells(reference, left_out=_BESIDES)
        named = heads[0] == "operator"
        ruled = [part for k, row in enumerate(rows) for part in ([[], row] if named and k and row[0] else [row])]
        notes = "\n".join(f"% {note}" for note in self.notes(reference))
        return f"{notes}\n{tables.latex(heads, ruled, texts=1 + named)}\n"

    def csv(self) -> str:
        """One line for each run."""
        scored = [(column, metric) for column in COLUMNS for metric in (PSNR, SSIM)]
        heads = ["operator", "image", "contestant", "noise_seed", "seed", *(f"{column}_{metric}" for column, metric in scored)]
        heads += [*(f"{column}_step" for column in COLUMNS), "data_psnr", "seconds", "steps", "ended", "failure"]
        rows = []
        for record in self.records.values():
            values, at = scores_of(record), record.get("at", {})
            cells = [*record["run"].values(), *(values.get(column, {}).get(metric) for column, metric in scored)]
            cells += [*(at.get(column) for column in COLUMNS), *(record.get(name) for name in heads[-5:])]
            rows.append(["" if cell is None else cell for cell in cells])
        return tables.csv(heads, rows) + "\n"

    def figure(self, rows: int = 6) -> "Figure":
        """A row for each problem: y, the answer of each contestant with its PSNR, and the ground truth.

        At most so many rows are drawn, of the first images of every operator. The answers are of the first seed that has not
        failed. A y that is no image of the kind of x is left out.

        Raises:
            BadValue: the images are no (H, W) or (1 or 3, H, W).
        """
        by_operator = [[name for name in self.problems if name[0] == operator] for operator in self._operators()]
        in_turn = [name for names in zip_longest(*by_operator) for name in names if name is not None]
        names = [name for name in self.problems if name in in_turn[:rows]]
        return plot.grid({", ".join(word for word in name if word): self._images(name) for name in names})

    def notes(self, reference: str | None = None) -> list[str]:
        """What the table shows, on what it was made, and what failed, in sentences."""
        about = notes_of(self.table(reference), list(self.records.values()), self._reference(reference))
        return [measured_by(self.problems), *about]

    def failures(self) -> list[str]:
        """Who failed on what, and why: a sentence for each reason of each contestant."""
        return failures_of(self.records.values())

    def answer(self, contestant: str) -> Tensor | None:
        """The first answer of a contestant (1, *in_shape), of 8 bits for photographs; None where it failed."""
        runs = ((key, record["run"]["contestant"]) for key, record in self.records.items() if "failure" not in record)
        return next((self.store.load(key) for key, name in runs if name == contestant), None)

    def _cells(self, reference: str | None, left_out: Collection[str] = ()) -> tuple[list[str], list[list[str]]]:
        """Heads, and rows of cells, without columns that are empty; an operator is named in its first row alone."""
        several, name = len(self._operators()) > 1, self._reference(reference)
        rows = [cells_of(row, name, several) for row in self.table(reference)]
        heads = [head for head in rows[0] if head not in left_out and any(row[head] for row in rows)]
        for before, row in list(pairwise(rows))[::-1]:
            row["operator"] = "" if row["operator"] == before["operator"] else row["operator"]
        return heads, [[row[head] or ("" if head == "operator" else EMPTY) for head in heads] for row in rows]

    def _reference(self, name: str | None) -> str:
        names = self._contestants()
        if name is None:
            return names[0]
        if name not in names:
            raise BadValue(f"the reference {name!r}", f"one of {', '.join(names)}", f"write {nearest(name, names, 1)}")
        return name

    def _operators(self) -> list[str | None]:
        return list(dict.fromkeys(operator for operator, _ in self.problems))

    def _contestants(self) -> list[str]:
        return list(dict.fromkeys(record["run"]["contestant"] for record in self.records.values()))

    def _runs(self, operator: str | None, contestant: str) -> list[Record]:
        return [
            record
            for record in self.records.values()
            if (record["run"]["operator"], record["run"]["contestant"]) == (operator, contestant)
        ]

    def _images(self, name: Name) -> dict[str, Tensor]:
        """The images of a problem by what is written above them and, after a line break, below."""
        problem = self.problems[name]
        runs = {key: record for key, record in self.records.items() if name == _name(record)}
        first: dict[str, str] = {}
        for key, record in runs.items():
            if "failure" not in record:
                first.setdefault(record["run"]["contestant"], key)
        notes = {contestant: f"{scores_of(runs[key])[ANSWER][PSNR]:.2f} dB" for contestant, key in first.items()}
        restored = {f"{contestant}\n{notes[contestant]}": self.store.load(key) for contestant, key in first.items()}
        y = drawn(problem, next(iter(runs.values()))["run"]["noise_seed"]).y
        assert problem.truth is not None
        shown = {"measurement": y} if _is_like(y, problem.truth) else {}
        return {**shown, **restored, "ground truth": problem.truth}


def _name(record: Record) -> Name:
    return record["run"]["operator"], record["run"]["image"]


def _is_like(y: Tensor, x: Tensor) -> bool:
    """Whether y is drawn as an image: of the kind of x, as large or smaller by whole factors."""
    if y.ndim != x.ndim or y.ndim < 3:
        return False
    return y.shape[:-2] == x.shape[:-2] and all(size % part == 0 for part, size in zip(y.shape[-2:], x.shape[-2:], strict=True))


def study_of(problems: Mapping[Name, Problem], keys: list[str], store: Store) -> Study:
    """The study of runs that were made, or have failed."""
    failures = {key: None if store.has(key) else store.failure(key) for key in keys}
    return Study(dict(problems), {key: failure or store.record(key) for key, failure in failures.items()}, store)
