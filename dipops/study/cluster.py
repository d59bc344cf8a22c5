"""Runs on more than one machine, by Dask. Needs the extra ``cluster``."""

from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import torch
from filelock import FileLock
from torch import Tensor

from dipops._tools.threads import one_thread
from dipops.errors import BadValue
from dipops.study.records import Record, Task
from dipops.study.runner import bar_of, require_same_inputs, show_scores
from dipops.study.store import Store

_PATIENCE, _AHEAD = 10, 2


@contextmanager
def dask_client(scheduler: str | None, workers: int | None) -> Iterator[Any]:
    """A client of a running Dask scheduler, or of a local cluster of worker processes with one thread each.

    Args:
        scheduler: its address, such as tcp://host:8786.
        workers: how many to start here, where there is no scheduler.

    Raises:
        BadValue: the extra ``cluster`` is not installed, nothing answers at the address, or it has no worker.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise BadValue("no package distributed", "the extra cluster", "pip install 'dipops[cluster]'") from error
    if scheduler is None:
        with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as local, Client(local) as client:
            yield client
        return
    try:
        client = Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise BadValue(f"no scheduler at {scheduler}", "the address of one that runs", "start it: dask scheduler") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError as error:
            raise BadValue(f"{scheduler} without a worker", "at least one", f"start it: dask worker {scheduler}") from error
        yield client


def run_on(client: Any, tasks: Sequence[Task], store: Store, progress: bool = True) -> None:
    """Make every run that is not finished by the workers of a Dask cluster, each on a GPU where it has one.

    The runs of a worker that was lost are made by another. This process alone writes to the store; each run is locked from
    its submission until it is stored, and there are only a few for each worker at a time. Workers read the tasks' files
    under the same paths.

    Raises:
        BadFile: a run cannot be written, a worker cannot read its files, or a run in the store was made from other files;
            finished runs stay.
        BadValue: a task was lost with worker after worker, or with the scheduler.
    """
    require_same_inputs(tasks, store)
    with bar_of(tasks, store, progress) as bar:
        for record in _finished(client, [task for task in tasks if not store.has(task.key)], store):
            show_scores(bar, record)
            bar.update()


def _finished(client: Any, waiting: list[Task], store: Store) -> Iterator[Record]:
    """Submit tasks, and yield the record of each run as soon as it is stored."""
    from cloudpickle import dumps
    from distributed import as_completed

    futures, submitted = as_completed(), {}
    while waiting or submitted:
        while len(submitted) < _AHEAD * max(len(client.scheduler_info()["workers"]), 1):
            locked = _lock_next(waiting, store, wait=not submitted)
            if locked is None:
                break
            task, lock = locked
            if store.has(task.key):
                lock.release()
                yield store.record(task.key)
            else:
                future = client.submit(_run_on_worker, dumps(task), list(client.nthreads()), pure=False)
                submitted[future] = task, lock
                futures.add(future)
        if submitted:
            future = next(futures)
            task, lock = submitted.pop(future)
            record, image = _result(future, task)
            store.save(task.key, record, image)
            lock.release()
            yield record


def _lock_next(waiting: list[Task], store: Store, wait: bool) -> tuple[Task, FileLock] | None:
    """Take the first task that no other process has locked from ``waiting``; None where there is none."""
    for task in waiting:
        lock = store.lock(task.key, wait)
        if lock is not None:
            waiting.remove(task)
            return task, lock
    return None


def _result(future: Any, task: Task) -> tuple[Record, Tensor | None]:
    from distributed import KilledWorker

    try:
        return future.result()
    except (KilledWorker, CancelledError) as error:
        raise BadValue(f"{task.key} lost with its workers", "a cluster that lasts", "look at its logs, then go on") from error


def _run_on_worker(packed: bytes, workers: Sequence[str]) -> tuple[Record, Tensor | None]:
    """Make a run on a worker in one thread; the workers of a machine take turns at its GPUs.

    The task is unpacked here: a worker that cannot import what is in it then says so, where Dask would lose the worker.
    """
    from cloudpickle import loads
    from distributed import get_worker

    with one_thread():
        return loads(packed).run(_device_of(get_worker().address, workers, torch.cuda.device_count()))


def _device_of(address: str, workers: Sequence[str], gpus: int) -> str:
    """The device of a worker among all workers, by their addresses: the GPUs of a machine are dealt out one by one.

    All workers of a machine must see the same GPUs in the same order, as Dask's own do.
    """
    machine = urlsplit(address).hostname
    on_machine = sorted(worker for worker in {address, *workers} if urlsplit(worker).hostname == machine)
    return f"cuda:{on_machine.index(address) % gpus}" if gpus else "cpu"
