"""Makes the runs that are not finished, one after the other."""

import sys
from collections.abc import Sequence
from typing import Any

from dipops._tools.progress import progress_bar
from dipops.errors import BadFile
from dipops.study.records import Record, Task, scores_of
from dipops.study.store import Store


def run(tasks: Sequence[Task], store: Store, target: str = "cpu", progress: bool = True) -> None:
    """Make every run that is not finished, one after the other; runs of another process are waited for at the end.

    Args:
        tasks: the runs.
        store: where finished runs are, and where these go.
        target: a target of ``Problem.to``, such as "cuda".
        progress: whether to show bars.

    Raises:
        BadFile: a run cannot be written, or one in the store was made from other files; finished runs stay.
    """
    require_same_inputs(tasks, store)
    with bar_of(tasks, store, progress) as bar:
        waiting = [task for task in tasks if not store.has(task.key)]
        for wait in (False, True):
            waiting = [task for task in waiting if not _finish(task, store, target, wait, bar)]


def require_same_inputs(tasks: Sequence[Task], store: Store) -> None:
    """Raise BadFile if the store has a run that was made from other files of the same names."""
    for task in tasks:
        if store.has(task.key) and store.record(task.key)["inputs"] != task.inputs:
            came = f"{task.key} in {store.folder}, made from other files than there are now"
            raise BadFile(came, "the same files", "choose another folder of runs, or the files of before")


def bar_of(tasks: Sequence[Task], store: Store, shown: bool) -> Any:
    """A progress bar over tasks, as far as they are finished."""
    return progress_bar(len(tasks), shown, "run", done=sum(store.has(task.key) for task in tasks))


def show_scores(bar: Any, record: Record) -> None:
    """Write the scores of a run's first column next to the bar."""
    scores = next(iter(scores_of(record).values()), {})
    bar.set_postfix({metric: f"{value:.2f}" for metric, value in scores.items()})


def _finish(task: Task, store: Store, target: str, wait: bool, bar: Any) -> bool:
    """Make a run if nobody has made it yet; returns whether it is finished."""
    lock = store.lock(task.key, wait)
    if lock is None:
        return False
    try:
        if not store.has(task.key):
            bar.set_description(task.label)
            record, image = task.run(target, progress=not bar.disable and sys.stderr.isatty())
            store.save(task.key, record, image)
            show_scores(bar, record)
        bar.update()
        return True
    finally:
        lock.release()
