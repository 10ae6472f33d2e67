"""Who makes the shards: processes of this machine, or a Dask cluster. Tasks are idempotent, so one whose worker died is done again."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from ...errors import ArgumentError, GeospecError, problem, require_package
from .task import MOST_DEATHS, ShardResult, ShardTask, encode_shard

#: Told of a task, and of how many of its shapes are behind.
Watch = Callable[[ShardTask, int], None]
#: Seconds until a cluster has to answer, and to have a worker.
_PATIENCE = 30


def on_this_machine(tasks: Sequence[ShardTask], workers: int, watch: Watch) -> Generator[ShardResult, None, None]:
    """Results as they come, of processes on one thread each. A process that dies is replaced, and its task is done again.

    Raises
    ------
    What a task raised, with its traceback as a note. GeospecError : processes that die again and again.
    """
    waiting = deque(tasks)
    lives = _Lives()
    team = [_Worker() for _ in range(min(workers, len(tasks)))]
    try:
        for worker in team:
            worker.give(waiting.popleft())
        while busy := {worker.pipe: worker for worker in team if worker.task is not None}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                task = worker.task
                assert task is not None
                try:
                    name, value = worker.pipe.recv()
                except (EOFError, OSError):  # also in the middle of a message
                    lives.lost(task, worker.how_it_ended())
                    worker.end()
                    team[team.index(worker)] = worker = _Worker()
                    worker.give(task)
                    continue
                if name == "error":
                    raise value
                if name == "moved":
                    lives.moved = True
                    watch(task, value)
                else:
                    watch(task, len(task.shapes))
                    worker.give(waiting.popleft() if waiting else None)
                    yield value
    finally:
        for worker in team:
            worker.end()


def on_cluster(tasks: Sequence[ShardTask], address: str, watch: Watch) -> Generator[ShardResult, None, None]:
    """Results as they come, of the workers of a Dask scheduler, which see the same folders and have the same geospec.

    The scheduler gives a task whose worker died to another one; where it gives up, the task is handed in again. Tasks are handed in as
    workers become free, two for each thread of the cluster.

    Raises
    ------
    MissingDependencyError : without ``distributed``. ArgumentError : no scheduler at the address, or one without workers.
    What a task raised. GeospecError : workers that die again and again.
    """
    distributed = require_package("distributed", "encoding on a cluster", "geospec[distributed]")
    try:
        client = distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as cause:
        raise ArgumentError(problem("cluster", "the address of a running Dask scheduler", repr(address), str(cause))) from cause
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError as cause:
            raise ArgumentError(problem("cluster", "a scheduler with workers", f"none within {_PATIENCE} s")) from cause
        waiting = deque(tasks)
        lives = _Lives()
        given = {}

        def hand_in(task: ShardTask) -> Any:
            future = client.submit(encode_shard, task, pure=False)
            given[future.key] = task
            return future

        threads = sum(client.nthreads().values())
        first = [hand_in(waiting.popleft()) for _ in range(min(2 * threads, len(tasks)))]
        answers = distributed.as_completed(first, loop=client.loop)
        for future in answers:
            task = given.pop(future.key)
            if future.status == "error":
                failure = future.exception()
                if not isinstance(failure, distributed.KilledWorker):
                    raise failure
                lives.lost(task, str(failure))
                answers.add(hand_in(task))
                continue
            lives.moved = True
            watch(task, len(task.shapes))
            if waiting:
                answers.add(hand_in(waiting.popleft()))
            yield future.result()


class _Lives:
    """Counts the workers that died, so that what kills them all ends the run and not the machine."""

    def __init__(self) -> None:
        self.moved = False
        self._in_a_row = 0
        self._of_task: dict[str, int] = {}

    def lost(self, task: ShardTask, how: str) -> None:
        """Note a death.

        Raises
        ------
        GeospecError : three in a row before any file was begun, or more at one task than its files can explain.
        """
        self._in_a_row = 0 if self.moved else self._in_a_row + 1
        self.moved = False
        count = self._of_task[task.path] = self._of_task.get(task.path, 0) + 1
        if self._in_a_row >= 3 or count > MOST_DEATHS * len(task.shapes) + 3:
            hint = "a script that encodes with workers needs: if __name__ == '__main__'"
            raise GeospecError(problem("workers", "processes that live", f"one death after another ({how})", hint))


class _Worker:
    """A process of this machine, and the task that it has."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        _start_server()
        self.pipe, there = context.Pipe()
        self.process = context.Process(target=_serve, args=(there,), daemon=True)
        self.process.start()
        there.close()
        self.task: ShardTask | None = None

    def give(self, task: ShardTask | None) -> None:
        self.task = task
        if task is not None:
            with suppress(BrokenPipeError):  # it has died: what is asked of it next tells
                self.pipe.send(task)

    def how_it_ended(self) -> str:
        """Of a process that has closed its pipe."""
        self.process.join(1)
        code = self.process.exitcode
        if code is None:
            return "a closed pipe"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _start_server() -> None:
    """Have a process that imports once what all workers need, and forks: they are there in milliseconds, and no thread of this process is
    copied. It and they never get an interrupt, which a terminal sends to all: this process decides."""
    forkserver.set_forkserver_preload([_serve.__module__])
    resource_tracker.ensure_running()  # or the server starts it, which lets interrupts through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # what is started inherits it
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection) -> None:
    """What a process does: tasks as they come, until its parent ends."""
    threading.Thread(target=_follow_parent, daemon=True).start()
    while True:
        try:
            task = pipe.recv()
        except EOFError:  # the parent was interrupted while it started this one
            return
        try:
            result = encode_shard(task, lambda done: pipe.send(("moved", done)))
        except Exception as cause:
            pipe.send(("error", _travelling(cause)))
        else:
            pipe.send(("result", result))


def _follow_parent() -> None:
    """End with the parent, however it ends: what is unfinished is done again by the next run."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _travelling(cause: Exception) -> Exception:
    """The exception with its traceback as a note, in a form that passes between processes."""
    note = f"in a worker:\n{''.join(traceback.format_exception(cause))}"
    try:
        again = pickle.loads(pickle.dumps(cause))  # some classes pickle and fail to come back
    except Exception:
        again = RuntimeError(f"{type(cause).__name__}: {cause}")
    again.add_note(note)
    return again
