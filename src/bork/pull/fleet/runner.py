"""Run the jobs of many hosts at once: a bounded number of children, and none of them can stop another.

The loop has a thread of its own, for signals of Python interrupt only the main thread: no child is ever started and
then forgotten, and all of them are told to end when we are.
"""

from __future__ import annotations

import os
import selectors
import signal
import threading
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple

from bork.errors import CacheFault
from bork.pull.fleet import commands, state
from bork.pull.fleet.child import Child, message
from bork.pull.fleet.events import SKIPPED, HostResult
from bork.pull.fleet.job import Ended, work

if TYPE_CHECKING:
    from bork.pull.fleet.commands import Step
    from bork.pull.fleet.events import Observer
    from bork.pull.fleet.hosts import Host
    from bork.pull.fleet.state import HostState, StateDirectory

TICK_S = 0.1


class Settings(NamedTuple):
    """What holds for all hosts. ``program``: the words in front of ``pull``; ``rsh``: what connects to hosts."""

    program: Sequence[str]
    variables: Mapping[str, str]
    rsh: str
    jobs: int
    show_progress: bool
    states: StateDirectory


def run(hosts: Sequence[Host], settings: Settings, observer: Observer) -> list[HostResult]:
    """Pull all these hosts. One result for each, in the order in which they ended.

    Whatever is raised in the calling thread (Ctrl-C) ends all children by the same signal, and is raised again when
    they are gone. Raises: CacheFault, before the first child is started.
    """
    settings.states.prepare()
    loop = _Loop(hosts, settings, observer)
    thread = threading.Thread(target=loop.run, name="bork-fleet")
    thread.start()
    try:
        loop.done.wait()
    except BaseException as interrupt:
        loop.stop_with = int(getattr(interrupt, "number", signal.SIGTERM))
        loop.done.wait()
        raise
    finally:
        thread.join()
    if loop.failure is not None:
        raise loop.failure
    return loop.results


@dataclass(slots=True)
class _Job:
    """One host at work."""

    host: Host
    lock: int
    steps: Generator[Step, Ended, HostResult]


class _Loop:
    def __init__(self, hosts: Sequence[Host], settings: Settings, observer: Observer) -> None:
        self.results: list[HostResult] = []
        self.failure: BaseException | None = None
        self.done = threading.Event()
        self.stop_with = 0  # the number of a signal: set by another thread
        self._settings = settings
        self._observer = observer
        self._queue = deque(hosts)
        self._running: dict[Child, list[_Job]] = {}
        self._waiting: dict[str, list[tuple[_Job, Step]]] = {}  # for something exclusive
        self._held: dict[str, int] = {}  # what is exclusive and running, with its lock
        self._selector = selectors.DefaultSelector()
        self._is_stopping = False

    def run(self) -> None:
        try:
            self._run()
        except BaseException as failure:  # noqa: BLE001 (the calling thread raises it again)
            self.failure = failure
            self._abandon()
        finally:
            self._selector.close()
            self.done.set()

    def _run(self) -> None:
        while True:
            self._stop_if_asked()
            # One at a time: what is there already is listened to meanwhile.
            may_begin = bool(self._queue) and len(self._running) < self._settings.jobs
            if may_begin:
                self._begin(self._queue.popleft())
            elif not self._running:
                return
            for key, _ in self._selector.select(0 if may_begin else TICK_S):
                child: Child = key.data
                stream: IO[bytes] = key.fileobj  # type: ignore[assignment]  # it is what was registered
                if child.read(stream) == 0:
                    self._selector.unregister(stream)
            for child in list(self._running):
                child.watch()
                self._end_if_over(child)
            self._observer.tick()

    def _stop_if_asked(self) -> None:
        if self.stop_with and not self._is_stopping:
            self._is_stopping = True
            self._queue.clear()
            for child in self._running:
                child.stop(self.stop_with)

    def _abandon(self) -> None:
        """After a mistake of our own: no child outlives us unnoticed."""
        for child in self._running:
            child.stop(signal.SIGTERM)

    # ---- begin ---------------------------------------------------------------------------------------------------

    def _begin(self, host: Host) -> None:
        states = self._settings.states
        try:
            lock = states.lock_host(host.name)
        except CacheFault as fault:
            self._report(HostResult(host.name, state.ERROR, commands.PULL, error=str(fault)))
            return
        if lock is None:
            self._report(HostResult(host.name, SKIPPED, commands.PULL, error="another bork pull is at work on it"))
            return

        def save(known: HostState) -> None:
            try:
                states.save(host.name, known)
            except CacheFault as fault:  # the backup itself is as good as ever
                self._observer.record(host.name, message("error", str(fault)))

        steps = work(
            host,
            self._settings.rsh,
            show_progress=self._settings.show_progress,
            save=save,
            known=states.load(host.name, host.repository),
        )
        job = _Job(host, lock, steps)
        self._start(next(steps), [job])

    def _start(self, step: Step, jobs: list[_Job]) -> None:
        """Run a step, for one host or for all that wait for the same."""
        host = jobs[0].host
        lock = None
        if step.exclusive:
            if step.exclusive in self._held:
                self._waiting.setdefault(step.exclusive, []).extend((job, step) for job in jobs)
                return
            try:
                lock = self._settings.states.lock_compaction(step.exclusive)
            except CacheFault as fault:  # it is this step that cannot be, and no other host
                self._go_on(jobs, Ended(None, str(fault)))
                return
            if lock is None:
                text = f"{step.stage} is left out: another process is at it"
                self._observer.record(host.name, message("info", text))
                self._go_on(jobs, Ended(0))
                return
        keep = [job.lock for job in jobs] + ([] if lock is None else [lock])
        try:
            child = Child(
                self._settings.program,
                step,
                host,
                dict(self._settings.variables),
                keep,
                lambda record: self._observer.record(host.name, record),
            )
        except (OSError, ValueError) as error:
            if lock is not None:
                os.close(lock)
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._go_on(jobs, Ended(None, f"it cannot be started: {reason}"))
            return
        if lock is not None:
            self._held[step.exclusive] = lock
        self._running[child] = jobs
        for stream in child.streams():
            self._selector.register(stream, selectors.EVENT_READ, child)
        for job in jobs:
            self._observer.started(job.host.name, step.stage)

    # ---- end -----------------------------------------------------------------------------------------------------

    def _end_if_over(self, child: Child) -> None:
        if not child.has_ended():
            return
        for stream in child.streams():
            if stream in self._selector.get_map():
                self._selector.unregister(stream)
        child.finish()
        jobs = self._running.pop(child)
        exclusive = child.step.exclusive
        if exclusive:
            os.close(self._held.pop(exclusive))
        self._go_on(jobs, Ended(child.exit_code, child.last_error, child.result(), child.is_late))
        waiting = self._waiting.pop(exclusive, [])
        if waiting and self._is_stopping:
            for job, _ in waiting:
                self._cancel(job)
        elif waiting:
            # One compaction is enough for all that have asked for it before it began.
            self._start(waiting[0][1], [job for job, _ in waiting])

    def _go_on(self, jobs: list[_Job], ended: Ended) -> None:
        """Tell the jobs how their step ended, and begin what comes next."""
        for job in jobs:
            try:
                step = job.steps.send(ended)
            except StopIteration as end:
                os.close(job.lock)
                self._report(end.value)
                continue
            if self._is_stopping:
                self._cancel(job)
            else:
                self._start(step, [job])

    def _cancel(self, job: _Job) -> None:
        """We are to end: what would come next does not."""
        try:
            job.steps.send(Ended(None, "interrupted"))
        except StopIteration as end:
            os.close(job.lock)
            self._report(end.value)

    def _report(self, result: HostResult) -> None:
        self.results.append(result)
        self._observer.ended(result)
