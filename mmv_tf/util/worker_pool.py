# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Child processes that run tasks, with a deadline for each part."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from multiprocessing import resource_tracker
from typing import Any, Protocol

from mmv_tf.util.storage.urls import named_in

CORRUPT, TIMEOUT = "corrupt", "timeout"


class TaskError(ValueError):
    """A file is faulty; the message is one line that names the file."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """The reason why a part of a task has no result: a source's status and a line for the user."""

    status: str
    reason: str

    def __post_init__(self) -> None:
        # Done here and not where it is shown, which may be on a machine with another mirror.
        object.__setattr__(self, "reason", named_in(self.reason))


@dataclasses.dataclass(frozen=True)
class Task:
    """Work on one file.

    Attributes:
      function: a module's function, so that a child can import it; called with `arguments` and the
        list of the parts' values, it yields a result for each, in order. Results are plain JSON.
      name: the file's name, for messages.
      arguments: arguments common to all parts.
      parts: (key, value) for each part; the key identifies the result and stays in the parent.
      part_names: each part's name in messages, for parts with separate files.
      kills: number of times that a process was killed during this task.
    """

    function: Callable[..., Iterator[Any]]
    name: str
    arguments: tuple[Any, ...]
    parts: tuple[tuple[Any, Any], ...]
    part_names: tuple[str, ...] = ()
    kills: int = 0

    def from_part(self, index: int) -> Task:
        """Return the rest of the task, starting from a part."""
        names = self.part_names[index:]
        return dataclasses.replace(self, parts=self.parts[index:], part_names=names)

    def name_of(self, index: int) -> str:
        """Return a part's name in messages."""
        return self.part_names[index] if self.part_names else self.name


class Runner(Protocol):
    """Runs tasks, locally or elsewhere."""

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Any, Any | Failure]]:
        """Yield (key, result or `Failure`) of every part, in any order.

        A part that fails, hangs or kills its process loses only its own result.

        Raises:
          OSError: the disk is not writable.
        """
        ...


def fail_rest(parts: Sequence[tuple[Any, Any]], failure: Failure) -> Iterator[tuple[Any, Failure]]:
    """Yield the same failure for each of several parts."""
    for key, _ in parts:
        yield key, failure


_KILLED = "the decoder was killed, perhaps because memory ran out"
_MOST_KILLS = 2  # ours, of one task
_START_SECONDS = 600.0  # for a child to start; a few suffice unless the machine is overloaded


def _serve(
    connection: multiprocessing.connection.Connection, environment: Mapping[str, str]
) -> None:
    """Run tasks in a child process until its parent ends, then end with all that it started."""
    # The server that forks children has the environment of the time when it was started, which may
    # lack a store's credentials.
    os.environ.clear()
    os.environ.update(environment)
    os.setsid()
    # A child that hangs in a task would not notice that its parent was killed.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _do_tasks(connection)
    finally:
        _kill_group(os.getpid())


def _do_tasks(connection: multiprocessing.connection.Connection) -> None:
    connection.send(None)
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        failure: Any = None
        try:
            for result in task.function(*task.arguments, [value for _, value in task.parts]):
                connection.send(result)
        except TaskError as error:
            failure = Failure(CORRUPT, str(error))
        except (BrokenPipeError, ConnectionResetError):
            return
        except OSError as error:
            failure = error  # of the disk, not the video: it stops the run
        except Exception as error:
            if "No space left" in str(error):
                failure = OSError(28, "No space left on device")  # TensorFlow has its own error
            else:
                # FFmpeg's bindings raise many types of errors on unusual files.
                failure = Failure(CORRUPT, f"{task.name}: raised {error!r}; check the file")
        if failure is not None:
            try:
                connection.send(failure)
            except (BrokenPipeError, ConnectionResetError):
                return


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        _kill_group(os.getpid())


def _kill_group(leader: int) -> None:
    """Kill a child and the processes that it started, if any are left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: all are zombies
        os.killpg(leader, signal.SIGKILL)


class _Worker:
    """Child process with its current task."""

    def __init__(self) -> None:
        # Forked from a server that has imported only what children need: forked from the program,
        # they would lack threads that TensorFlow and FFmpeg rely on; spawned, each would import
        # TensorFlow again, which takes seconds of a core whenever a child is replaced.
        context = multiprocessing.get_context("forkserver")
        # Takes effect only before the first child. TensorFlow's notes are
        # hidden by the module that is imported first.
        context.set_forkserver_preload(["mmv_tf.util.quiet_start", "mmv_tf.data", __name__])
        self.connection, theirs = context.Pipe()
        arguments = (theirs, dict(os.environ))
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        # Ctrl-C goes to the whole group. The server and its children inherit the blocked signal, so
        # that they print no tracebacks; the parent ends its children itself. The tracker is started
        # first, because starting it unblocks the signal.
        resource_tracker.ensure_running()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()
        self.ready = False
        self.task: Task | None = None
        self.done = 0  # number of finished parts
        self.until = time.monotonic() + _START_SECONDS

    def give(self, task: Task, deadline_seconds: float) -> None:
        """Send a task, without the keys."""
        self.task, self.done = task, 0
        self.until = time.monotonic() + deadline_seconds
        parts = tuple((None, value) for _, value in task.parts)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # noticed when reading
            self.connection.send(Task(task.function, task.name, task.arguments, parts))

    def end(self) -> None:
        """Kill the child, whatever it does, and everything that it started."""
        self.process.kill()
        if self.process.pid is not None:
            _kill_group(self.process.pid)
        self.process.join()
        self.connection.close()


class WorkerPool:
    """Runs tasks in child processes on this machine; a context manager that ends them.

    Args:
      processes: number of processes.
      deadline_seconds: maximum time for one part of a task.
    """

    def __init__(self, processes: int, deadline_seconds: float):
        if processes < 1 or not deadline_seconds > 0:
            raise ValueError(
                f"Got {processes} processes with a deadline of {deadline_seconds} s; both "
                "must be above 0."
            )
        self._processes = processes
        self._deadline_seconds = deadline_seconds
        self._workers: list[_Worker] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the children; a thread that runs tasks gets a `ChildProcessError`."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.end()

    def peak_bytes(self) -> int:
        """Return the largest resident memory of a child so far (on Linux), with shared pages."""
        files = [pathlib.Path(f"/proc/{worker.process.pid}/status") for worker in self._workers]
        lines = [line for file in files for line in file.read_text().splitlines()]
        peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
        return max(peaks, default=0)

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Any, Any | Failure]]:
        """Run tasks; see `Runner.run`.

        Raises:
          OSError: a child could not read or write a file, for example on a full disk, or did not
            start.
        """
        waiting = collections.deque(task for task in tasks if task.parts)
        while True:
            while len(self._workers) < min(self._processes, len(waiting)):
                self._workers.append(_Worker())
            for worker in self._workers:
                if worker.ready and worker.task is None and waiting:
                    worker.give(waiting.popleft(), self._deadline_seconds)
            active = [
                worker
                for worker in self._workers
                if worker.task is not None or (waiting and not worker.ready)
            ]
            if not active:
                return
            timeout = max(0.0, min(worker.until for worker in active) - time.monotonic())
            heard = multiprocessing.connection.wait(
                [worker.connection for worker in active], timeout
            )
            now = time.monotonic()
            for worker in active:
                if worker.connection not in heard and now < worker.until:
                    continue
                outcome = self._hear(worker, worker.connection in heard, waiting)
                if outcome is not None:
                    yield outcome

    def _hear(
        self, worker: _Worker, heard: bool, waiting: collections.deque[Task]
    ) -> tuple[Any, Any | Failure] | None:
        """Return the result of a worker's part; remove a worker that hung or died."""
        alive = False
        if heard:
            try:
                result = worker.connection.recv()
                alive = True
            except (EOFError, OSError):
                worker.process.join()
                code = worker.process.exitcode or 0
                how = f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
                result = Failure(CORRUPT, f"the decoder crashed ({how})")
                if code == -signal.SIGKILL:
                    result = Failure(CORRUPT, _KILLED)
        else:
            result = Failure(
                TIMEOUT,
                f"the decoder did not finish a block in {self._deadline_seconds:g} s; raise "
                "--deadline_seconds or check the file",
            )
        if isinstance(result, OSError):
            raise result
        if alive and not worker.ready:
            worker.ready = True  # it has started
            return None
        task, index = worker.task, worker.done
        if not alive:
            worker.end()
            if worker not in self._workers:
                raise ChildProcessError("The pool was closed during a task.")
            self._workers.remove(worker)
            if task is None:
                how = f"in {_START_SECONDS:g} s" if result.status == TIMEOUT else result.reason
                raise ChildProcessError(
                    f"A decoding process did not start ({how}): the machine is overloaded or out "
                    "of memory; rerun the same command, perhaps with fewer --processes."
                )
            if result.reason == _KILLED and task.kills < _MOST_KILLS:
                # Not the file's fault unless it recurs: the system or a user killed the process.
                again = task.from_part(index)
                waiting.appendleft(dataclasses.replace(again, kills=task.kills + 1))
                return None
            result = Failure(result.status, f"{task.name_of(index)}: {result.reason}")
        if task is None:
            raise RuntimeError("A worker answered without a task.")
        worker.done += 1
        worker.until = time.monotonic() + self._deadline_seconds
        if isinstance(result, Failure) or worker.done == len(task.parts):
            worker.task = None
            rest = task.from_part(index + 1)
            if rest.parts:
                waiting.appendleft(rest)
        return task.parts[index][0], result
