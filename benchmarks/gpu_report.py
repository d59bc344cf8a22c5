"""Writes benchmarks/results/gpu.md: ``python -m benchmarks.gpu_report [FOLDER]``; takes over what a run wrote to FOLDER."""

import shutil
import sys
from pathlib import Path
from typing import Any

from benchmarks.gpu_phases import MEMBERS, STEPS, WAYS, Phases
from benchmarks.harness import RESULTS, Records, Row, Task, append, full_commit, lines, records_of, render, table, write_report
from benchmarks.speed import RECIPES

LAWS = "laws-cuda.txt"
_ABSENT = "–"


def main(arguments: list[str]) -> None:
    for folder in map(Path, arguments):
        for record in lines(folder / "gpu.jsonl"):
            append(RESULTS / "gpu.jsonl", record | {"commit": full_commit(record["commit"])})
        if (folder / LAWS).exists():
            shutil.copyfile(folder / LAWS, RESULTS / LAWS)
    write_report("gpu", page(RESULTS, Phases()))


def page(folder: Path, phases: Phases) -> str:
    """The report of what lies in a folder."""
    tasks = [task for phase in phases.all().values() for task in phase]
    laws = (folder / LAWS).read_text() if (folder / LAWS).exists() else None
    return Report(records_of(tasks, folder), phases).text(laws)


class Report:
    """The page of what was measured so far; what was not is left out."""

    def __init__(self, records: Records, phases: Phases) -> None:
        self.records, self.phases = records, phases

    def text(self, laws: str | None) -> str:
        bits = self.phases.bits()
        return render(
            "gpu",
            run=self.value(self.phases.machine()),
            aims=self.aims(),
            loop=_milliseconds(self.value(self.phases.loop())),
            floors=self.floors(),
            steps=self.steps(),
            timed=self.phases.timed,
            size=self.phases.common["size"],
            kernels=self.kernels(),
            whole=self.whole(),
            many=self.many(),
            bits=self.bits(bits),
            bits_size=bits[0].settings["size"],
            bits_steps=bits[0].settings["steps"],
            laws=laws.splitlines()[3] if laws else None,
        )

    def value(self, task: Task) -> dict[str, Any]:
        """The result of a task, empty where there is none, or where it was skipped or failed."""
        result = self.records[task.name]["result"] if task.name in self.records else {}
        return {} if "skipped" in result or "failed" in result else result

    def table(self, header: list[str], rows: list[tuple[list[object], list[Task]]]) -> str:
        """The rows of which at least one task has a record; nothing without any."""
        made = [(cells, [self.records[task.name] for task in tasks if task.name in self.records]) for cells, tasks in rows]
        found: list[Row] = [row for row in made if row[1]]
        return table(header, found) if found else ""

    def cell(self, task: Task, key: str, form: str) -> str:
        """One value of a task, or why there is none."""
        result = self.records[task.name]["result"] if task.name in self.records else {}
        absent = next((f"{word}: {result[word][:60]}" for word in ("skipped", "failed") if word in result), _ABSENT)
        return absent if result.get(key) is None else form.format(result[key])

    def floor(self, recipe: str, way: str) -> float | None:
        """Milliseconds that a step needs at least, by the rates of the machine."""
        machine = self.value(self.phases.machine())
        mixed = WAYS[way]["precision"] == "mixed"
        work = self.value(self.phases.floor(recipe, "mixed" if mixed else "float32"))
        if not machine or not work:
            return None
        rate = machine["flops"]["mixed" if mixed else "TF32" if WAYS[way]["tf32"] else "float32"]
        return 1e3 * max(work["flops"] / rate, work["bytes"] / machine["bytes"])

    def floors(self) -> str:
        parts = []
        for recipe in RECIPES:
            work, least = self.value(self.phases.floor(recipe, "mixed")), self.floor(recipe, "captured")
            if work and least is not None:
                size = f"{work['flops'] / 1e9:.1f} GFLOP, {work['bytes'] / 1e9:.2f} GB in {work['operations']} operations"
                parts.append(f"{recipe}, mixed precision, {size}, {least:.2f} ms")
        return "; ".join(parts) or _ABSENT

    def steps(self) -> str:
        """Rows of ways and members, columns of recipes."""
        rows = []
        for way, members, optimizer in [*((way, k, "Adam") for way in WAYS for k in MEMBERS), ("captured", 1, "Muon")]:
            tasks = [self.phases.step(recipe, way, members, optimizer) for recipe in RECIPES]
            name = f"{way}, Muon" if optimizer == "Muon" else way
            cells: list[object] = [name, members]
            for recipe, task in zip(RECIPES, tasks, strict=True):
                cells += [self.cell(task, "ms", "{:.2f}"), self.times(task, recipe, way, members), self.gigabytes(task)]
            rows.append(([*cells, self.cell(tasks[-1], "precision", "{}")], tasks))
        heads = [f"{recipe}, {what}" for recipe in RECIPES for what in ("ms", "times the floor", "GB")]
        return self.table(["way", "members", *heads, "ran in"], rows)

    def times(self, task: Task, recipe: str, way: str, members: int) -> str:
        """The step over its floor."""
        least, result = self.floor(recipe, way), self.value(task)
        return f"{result['ms'] / (members * least):.1f}" if least and result else _ABSENT

    def gigabytes(self, task: Task) -> str:
        peak = self.value(task).get("peak_bytes")
        return _ABSENT if peak is None else f"{peak / 1e9:.2f}"

    def kernels(self) -> str:
        """The heaviest kernels of each profile."""
        parts = []
        for task in self.phases.profile():
            result, settings = self.value(task), task.settings
            if result:
                rows = [([name[:80], f"{ms:.3f}", f"{calls:g}"], [task]) for name, ms, calls in result["kernels"]]
                title = f"The heaviest kernels of a step, {settings['recipe']}, {settings['way']}; all take"
                parts.append(f"{title} {result['busy_ms']:.2f} ms:\n\n{self.table(['kernel', 'ms', 'calls'], rows)}")
        return "\n\n".join(parts)

    def whole(self) -> str:
        columns = {
            "steps": "{}",
            "seconds": "{:.1f}",
            "psnr": "{:.2f}",
            "image_steps": "{}",
            "best_average": "{:.2f}",
            "best_at": "{}",
        }
        rows = []
        for image in self.phases.images:
            for recipe in ("light", "paper"):
                task = self.phases.solve(recipe, image)
                rows.append(([image, recipe, *(self.cell(task, key, form) for key, form in columns.items())], [task]))
        heads = ["image", "settings", "steps", "seconds", "answer, dB", "of step", "best average, dB", "at step"]
        return self.table(heads, rows)

    def many(self) -> str:
        """Long solves of the light recipe."""
        tasks = self.long()
        cells = [
            [t.settings["members"], t.settings["steps"], self.cell(t, "seconds", "{:.1f}"), self.cell(t, "ms", "{:.2f}")]
            for t in tasks
        ]
        rows = [(row, [task]) for row, task in zip(cells, tasks, strict=True)]
        return self.table(["members", "steps", "seconds", "ms a step"], rows)

    def long(self) -> list[Task]:
        return [self.phases.many(1, STEPS), self.phases.many(8, STEPS // 4)]

    def bits(self, tasks: list[Task]) -> str:
        rows = []
        for task in tasks:
            settings, result = task.settings, self.value(task)
            switch = "`use_deterministic_algorithms(True)`" if settings["deterministic"] else "none"
            found = "same" if result.get("same") else self.cell(task, "largest_difference", "{:.1e}")
            way = "captured" if settings["capture"] else "eager"
            rows.append(([switch, settings["recipe"], settings["precision"], way, found], [task]))
        return self.table(["PyTorch's switch", "settings", "precision", "way", "difference"], rows)

    def aims(self) -> str:
        """What a GPU was to show, and what it did."""
        paper, light = (self.value(self.phases.step(recipe, "captured", 1)).get("ms") for recipe in ("paper", "light"))
        one, eight = (self.value(task) for task in self.long())
        solved = [self.value(self.phases.solve("light", image)).get("seconds") for image in self.phases.images]
        slowest = max((seconds for seconds in solved if seconds), default=None)
        measured = [
            (
                "the plain loop over the paper's network, captured",
                "at least 3",
                _ratio(self.value(self.phases.loop()).get("ms"), paper),
            ),
            ("the paper's network, captured, over its floor", "at most 5", _ratio(paper, self.floor("paper", "captured"))),
            ("the light one, captured, over its floor", "at most 2", _ratio(light, self.floor("light", "captured"))),
            (f"seconds of {STEPS} steps of the light one", "under 8", one.get("seconds")),
            ("eight members over one", "under 4", _ratio(eight.get("ms"), one.get("ms"))),
            ("seconds of the slowest whole image, light", "under 3", slowest),
        ]
        sources = [self.phases.machine(), self.phases.loop()]
        return self.table(["", "aim", "measured"], [([*row[:2], _number(row[2])], sources) for row in measured])


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one and other else None


def _number(value: float | None) -> str:
    return _ABSENT if value is None else f"{value:.2f}"


def _milliseconds(result: dict[str, Any]) -> str:
    return f"{result['ms']:.1f} ms" if result else _ABSENT


if __name__ == "__main__":
    main(sys.argv[1:])
