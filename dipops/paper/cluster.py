"""The paper's runs on more than one machine, by Dask. Needs the extra ``cluster``."""

import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dipops.errors import BadValue
from dipops.paper.runner import bar_of, require_same_pictures, tell
from dipops.paper.store import Store
from dipops.paper.tasks import Task, perform

_PATIENCE, _AHEAD = 10, 2


@contextmanager
def cluster(scheduler: str | None, workers: int | None) -> Iterator[Any]:
    """A client of a running Dask scheduler, or of a local cluster of so many worker processes with one thread each.

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


def run_on(client: Any, tasks: Sequence[Task], store: Store, data: Path, progress: bool = True) -> None:
    """Make every task that is not finished by the workers of a Dask cluster, each on a GPU where it has one.

    What a worker that was lost had in hand is done by another. Results come back to this process, which alone writes to the
    store; the workers need only read ``data``, under the same path.

    Raises:
        BadFile: a result cannot be written, or a worker cannot read the data; all that was finished stays.
        BadValue: a task was lost with worker after worker, or with the scheduler.
    """
    data = data.resolve()
    require_same_pictures(tasks, store, data)
    with bar_of(tasks, store, progress) as bar:
        queue = _Queue(client, [task for task in tasks if not store.has(task.key)], store, data)
        while (finished := queue.next()) is not None:
            for record in finished:
                tell(bar, record)
            bar.update()


class _Queue:
    """Tasks on their way through a cluster, a few for each worker at a time; each under its lock until it is stored."""

    def __init__(self, client: Any, waiting: list[Task], store: Store, data: Path) -> None:
        from distributed import as_completed

        self._client, self._waiting, self._store, self._data = client, waiting, store, data
        self._under_way = as_completed()
        self._held: dict[Any, tuple[Task, ExitStack]] = {}

    def next(self) -> list[dict[str, Any]] | None:
        """Wait for one more task to be finished: its record, or nothing where another process has made it; None at the end."""
        while len(self._held) < _AHEAD * max(len(self._client.scheduler_info()["workers"]), 1):
            handed = self._hand_over(wait=not self._held)
            if handed is None:
                break
            if not handed:
                return []
        if not self._held:
            return None
        future = next(self._under_way)
        task, claim = self._held.pop(future)
        with claim:
            record, picture = _result(future, task)
            self._store.keep(task.key, record, picture)
        return [record]

    def _hand_over(self, wait: bool) -> bool | None:
        """Claim a task and submit it: whether there was still something to do about it; None where none can be claimed."""
        for task in self._waiting:
            claim = ExitStack()
            if not claim.enter_context(self._store.claim(task.key, wait)):
                continue
            self._waiting.remove(task)
            if self._store.has(task.key):
                claim.close()
                return False
            future = self._client.submit(perform_on_worker, task, self._data, pure=False)
            self._held[future] = task, claim
            self._under_way.add(future)
            return True
        return None


def _result(future: Any, task: Task) -> tuple[dict[str, Any], Tensor]:
    from distributed import KilledWorker

    try:
        return future.result()
    except (KilledWorker, CancelledError) as error:
        raise BadValue(f"{task.key} lost with its workers", "a cluster that lasts", "look at its logs, then go on") from error


def perform_on_worker(task: Task, data: Path) -> tuple[dict[str, Any], Tensor]:
    """Make a run on a worker, on the GPU that falls to it."""
    from distributed import get_worker

    torch.set_num_threads(1)
    gpus = torch.cuda.device_count()
    number = zlib.crc32(str(get_worker().name).encode())
    return perform(task, data, f"cuda:{number % gpus}" if gpus else "cpu")
