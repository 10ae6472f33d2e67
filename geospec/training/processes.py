"""Several processes that train one module: who they are, what they sum, and how they start and end together."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from ..errors import ArgumentError, GeospecError, problem


def rank() -> int:
    """The number of this process among those that train together; 0 where it is alone."""
    return distributed.get_rank() if _together() else 0


def leads() -> bool:
    """Whether this process speaks for all: the first one, also before those that torchrun started have joined."""
    return rank() == 0 if _together() or "TORCHELASTIC_RUN_ID" not in os.environ else os.environ["RANK"] == "0"


def world() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if _together() else 1


def sum_over_processes(values: Tensor) -> None:
    """Add up, in place, the tensors that the processes hold; each then has the same bits."""
    if world() > 1:
        distributed.all_reduce(values)


@torch.no_grad()
def share_weights(module: nn.Module) -> None:
    """Give every process the parameters and buffers of the first."""
    if world() > 1:
        for tensor in (*module.parameters(), *module.buffers()):
            distributed.broadcast(tensor.detach(), 0)


def launch(function: Callable[..., Any], *arguments: Any, processes: int = 1, device: str = "cpu", **callbacks: Any) -> Any:
    """Run ``function(*arguments, **callbacks)`` in processes that train together, and return what the first one returns.

    Under ``torchrun`` this process joins those that it started. Else ``processes`` new ones start on this machine, each with its part
    of the threads and, on CUDA, a device of its own; with 1 the function runs here. Within it, ``"cuda"`` is the process's own device.

    Parameters
    ----------
    function, arguments : importable and picklable where new processes start; so is what the function returns.
    processes : how many. device : ``"cpu"`` (they speak through gloo) or ``"cuda"`` (nccl).
    callbacks : functions that return nothing, or ``None``. They are called here, by what the first process does;
        the others get ``None``.

    Raises
    ------
    ArgumentError : no such number of devices, or another number of processes than torchrun's.
    What the first process that failed raised, with its traceback as a note. KeyboardInterrupt : asked to stop before training began.
    A SIGINT or SIGTERM is passed on as one request to stop; a second one ends the processes.
    """
    if isinstance(processes, bool) or not isinstance(processes, int) or processes < 1:
        raise ArgumentError(problem("processes", "a whole number, at least 1", repr(processes)))
    if "TORCHELASTIC_RUN_ID" in os.environ:
        started = int(os.environ["WORLD_SIZE"])
        if processes not in (1, started):
            raise ArgumentError(problem("processes", f"the {started} that torchrun started, or nothing", processes))
        with _joined(device, int(os.environ["RANK"]), started, "env://", int(os.environ.get("LOCAL_RANK", "0"))):
            return function(*arguments, **(callbacks if rank() == 0 else dict.fromkeys(callbacks)))
    if processes == 1:
        return function(*arguments, **callbacks)
    kind, _, number = device.partition(":")
    if kind == "cuda" and (number or processes > torch.cuda.device_count()):
        got = f"{processes} processes on {device!r} and {torch.cuda.device_count()} devices here"
        raise ArgumentError(problem("processes", "at most one for each CUDA device, on the device 'cuda'", got))
    with tempfile.TemporaryDirectory(prefix="geospec-") as room:
        return _in_new_processes(function, arguments, processes, kind, Path(room) / "meeting", callbacks)


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


@contextmanager
def _joined(device: str, number: int, count: int, meeting: str, local: int) -> Iterator[None]:
    """Within the block this process is one of ``count``."""
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if cuda else "gloo", init_method=meeting, rank=number, world_size=count)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _in_new_processes(
    function: Callable[..., Any], arguments: tuple[Any, ...], count: int, device: str, meeting: Path, callbacks: dict[str, Any]
) -> Any:
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    turn, threads = context.Lock(), max(1, torch.get_num_threads() // count)
    heard = tuple(name for name, callback in callbacks.items() if callback is not None)
    silent = tuple(name for name in callbacks if name not in heard)
    shared = (count, device, meeting.as_uri(), threads, writer, turn, function, arguments, heard, silent)
    members = [context.Process(target=_member, args=(number, *shared), daemon=True) for number in range(count)]
    try:
        with _passed_on(members) as asked:
            for member in members:
                member.start()
            writer.close()
            result = _listen(reader, members, callbacks, asked)
            for member in members:
                member.join()
            return result
    finally:
        for member in members:
            if member.is_alive():
                member.kill()
                member.join()
        reader.close()


def _listen(reader: Connection, members: list[Any], callbacks: dict[str, Any], asked: Callable[[], bool]) -> Any:
    """Answer what the processes send until all have ended; the first error is raised."""
    result, open_ = None, True
    while open_ or any(member.is_alive() for member in members):
        wait([*([reader] if open_ else []), *(member.sentinel for member in members if member.is_alive())])
        while open_ and reader.poll():
            try:
                name, value = pickle.loads(reader.recv_bytes())
            except EOFError:  # all have ended
                open_ = False
                break
            if name == "error":
                raise value
            if name == "result":
                result = value
            else:
                callbacks[name](*value)
        for number, member in enumerate(members):
            if member.exitcode and not (open_ and reader.poll()):
                if asked():
                    raise KeyboardInterrupt
                code = member.exitcode
                end = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                hint = "SIGKILL is often a lack of memory" if code == -signal.SIGKILL else ""
                raise GeospecError(problem(f"process {number} of {len(members)}", "its part of the training", end, hint))
    return result


@contextmanager
def _passed_on(members: list[Any]) -> Iterator[Callable[[], bool]]:
    """Within the block, the first SIGINT or SIGTERM goes to the first process as SIGTERM: it stops them all at the same step."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def pass_on(number: int, _: Any) -> None:
        came.append(number)
        if len(came) > 1 or members[0].pid is None:
            raise KeyboardInterrupt
        os.kill(members[0].pid, signal.SIGTERM)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _member(
    number: int,
    count: int,
    device: str,
    meeting: str,
    threads: int,
    pipe: Connection,
    turn: Any,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    heard: tuple[str, ...],
    silent: tuple[str, ...],
) -> None:
    """One process: joins, runs the function, and sends what it returned or raised."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent passes one on
    torch.set_num_threads(threads)
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all are here, and a host's name need not resolve

    def send(name: str, value: Any) -> None:
        with turn:
            pipe.send_bytes(pickle.dumps((name, value)))  # not send: that passes tensors through memory that ends with the process

    def calls(name: str) -> Callable[..., None]:
        return lambda *values: send(name, values)

    callbacks: dict[str, Any] = dict.fromkeys((*heard, *silent))
    if number == 0:
        callbacks |= {name: calls(name) for name in heard}
    with _joined(device, number, count, meeting, number):
        try:
            result = function(*arguments, **callbacks)
        except BaseException as cause:
            send("error", _travelling(cause, number))  # before the others learn that this process has left, and fail of that
            raise
        if number == 0:
            send("result", result)
        distributed.barrier()  # none leaves while another still speaks


def _travelling(cause: BaseException, number: int) -> BaseException:
    """The exception with its traceback as a note, in a form that passes between processes."""
    note = f"in process {number}:\n{''.join(traceback.format_exception(cause))}"
    try:
        again = pickle.loads(pickle.dumps(cause))  # some classes pickle and fail to come back
    except Exception:
        again = RuntimeError(f"{type(cause).__name__}: {cause}")
    again.add_note(note)
    return again
