"""The light recipes against classical methods, task by task: ``python -m benchmarks.classical [PART ...]``.

Four photographs of 256 pixels on which no setting was chosen. Several processes may run parts at once. DIPOPS_DATA names the
folder of one of the photographs.
"""

import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor

from benchmarks.crops import WHOLE_HELD_OUT, piece
from benchmarks.dip import light_in_words, problem_and_recipe
from benchmarks.harness import Records, Row, Task, chosen, records_of, run, table, write_report
from dipops import TotalVariation, classical
from dipops.problem import Problem
from dipops.study import BestWeight, Contestant, study

SIZE = 256
_DIP, _TV = "DIP, light", "TV"
_FOLDER = Path(tempfile.gettempdir()) / "dipops-classical"
_RIVALS: dict[str, Callable[[Problem], Tensor]] = {
    **dict.fromkeys(("hole", "98% missing", "text", "50% missing"), classical.biharmonic),
    "x4": classical.bicubic,
}
"""What a library has for each task, beside TV in the limit Ax = y."""


def contest(settings: dict[str, Any]) -> dict[str, Any]:
    """PSNR of each contestant, and of its best average where there is one."""
    problem, recipe = problem_and_recipe(settings["problem"], piece(settings["image"], SIZE), "light")
    rival = _RIVALS[settings["problem"]]
    contestants: dict[str, Contestant] = {_DIP: recipe, _TV: BestWeight(TotalVariation), rival.__name__: rival}
    made = study({settings["image"]: problem}, contestants, 1, folder=_FOLDER, progress=False)
    if failures := made.failures():
        raise RuntimeError(failures[0])
    columns = ("psnr", "oracle", "steps")
    return {row["contestant"]: {column: row[column] for column in columns} for row in made.table()}


def planned() -> list[Task]:
    """Every image of every task."""
    return [
        Task(
            f"classical-{problem.replace(' ', '-')}-{image}",
            contest,
            {"problem": problem, "image": image, "recipe": light_in_words(problem)},
            1000,
            0.25,
            alone=False,
        )
        for problem in _RIVALS
        for image in WHOLE_HELD_OUT
    ]


def report(records: Records) -> str:
    """A row for each task, with the images of which there are records."""
    rows: list[Row] = []
    for problem in _RIVALS:
        made = [record for record in records.values() if record["settings"]["problem"] == problem]
        if made:
            rows.append(_row(problem, [record["result"] for record in made], made))
    heads = ["task", "images", _DIP, _TV, "biharmonic; bicubic for x4", "DIP - best of the others", "image by image"]
    about = (
        f"Made by `python -m benchmarks.classical`. Pieces of {SIZE} pixels of {', '.join(WHOLE_HELD_OUT)}; y without noise. "
        "PSNR in dB, means over the images, one seed. TV: the image of least total variation that satisfies Ax = y."
    )
    return f"# Light recipes against classical methods\n\n{about}\n\n{table(heads, rows)}\n"


def _row(problem: str, results: Sequence[dict[str, Any]], made: Sequence[Any]) -> Row:
    names = [_DIP, _TV, _RIVALS[problem].__name__]
    means = [fmean(result[name]["psnr"] for result in results) for name in names]
    apart = [result[_DIP]["psnr"] - max(result[name]["psnr"] for name in names[1:]) for result in results]
    each = ", ".join(f"{record['settings']['image']} {value:+.2f}" for record, value in zip(made, apart, strict=True))
    return [problem, len(results), *(f"{mean:.2f}" for mean in means), f"{means[0] - max(means[1:]):+.2f}", each], made


def main(parts: Sequence[str]) -> None:
    tasks: Iterable[Task] = planned()
    run(chosen(tasks, parts))
    write_report("classical", report(records_of(tasks)))


if __name__ == "__main__":
    main(sys.argv[1:])
