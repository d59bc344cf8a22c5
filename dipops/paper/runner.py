"""Makes what is not finished yet, one run after the other."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dipops.errors import BadFile
from dipops.paper.experiments import experiment
from dipops.paper.pictures import require_pictures
from dipops.paper.store import Store
from dipops.paper.tasks import Task, perform
from dipops.solver.trace import progress_bar


def require_runnable(tasks: Sequence[Task], data: Path) -> None:
    """Refuse, before anything is run, what could not be run to its end.

    Raises:
        BadFile: pictures are missing or others, or weights of a network are not there.
        BadValue: a package is not installed.
    """
    rows = {task.experiment: experiment(task.experiment) for task in tasks}
    named = {(task.experiment, task.case) for task in tasks}
    require_pictures(data, [case for row in rows.values() for case in row.cases if (row.name, case.name) in named])
    for task in tasks:
        rows[task.experiment].contestants[task.contestant].require(data)


def run(tasks: Sequence[Task], store: Store, data: Path, place: str = "cpu", progress: bool = True) -> None:
    """Make every task that is not finished, one after the other; what another process is at is waited for at the end.

    Raises:
        BadFile: a result cannot be written, or one that is there is of other pictures; all that was finished stays.
    """
    require_same_pictures(tasks, store, data)
    with bar_of(tasks, store, progress) as bar:
        waiting = [task for task in tasks if not store.has(task.key)]
        for wait in (False, True):
            waiting = [task for task in waiting if not _made(task, store, data, place, wait, bar)]


def require_same_pictures(tasks: Sequence[Task], store: Store, data: Path) -> None:
    """Refuse to go on with a store whose runs were made from other pictures of the same names.

    Raises:
        BadFile: one was.
    """
    done = [task for task in tasks if store.has(task.key)]
    cases = {(task.experiment, task.case) for task in done}
    digests = {(name, case): experiment(name).case(case).digest(data) for name, case in cases}
    for task in done:
        if store.record(task.key)["pictures"] != digests[task.experiment, task.case]:
            came = f"{task.key} in {store.folder}, made from other pictures of {task.case} than those in {data}"
            raise BadFile(came, "the same pictures", "choose another --out, or the folder of before")


def _made(task: Task, store: Store, data: Path, place: str, wait: bool, bar: Any) -> bool:
    """Whether the task is finished now."""
    with store.claim(task.key, wait) as held:
        if not held:
            return False
        if not store.has(task.key):
            bar.set_description(f"{task.experiment}: {task.case}, {task.contestant}")
            record, picture = perform(task, data, place, progress=not bar.disable and sys.stderr.isatty())
            store.keep(task.key, record, picture)
            tell(bar, record)
        bar.update()
    return True


def bar_of(tasks: Sequence[Task], store: Store, shown: bool) -> Any:
    return progress_bar(len(tasks), shown, "run", done=sum(store.has(task.key) for task in tasks))


def tell(bar: Any, record: dict[str, Any]) -> None:
    scores = next(iter(record["scores"].values()), {})
    bar.set_postfix({name: f"{value:.2f}" for name, value in scores.items()})
