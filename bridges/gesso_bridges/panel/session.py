"""A host's connection to the daemon that never blocks the host: threads talk to the daemon, `poll` hands over what happened.

Everything public is called from the host's own thread. Each job has a thread that sends it, follows it and fetches its pictures; one more
thread connects, watches, and asks the small things. Only `poll` changes `state`, `surface` and the tasks. It draws nothing.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from gesso.client import Client, Done, Job, Result
from gesso.errors import GessoError, Unreachable
from gesso.wire import discovery
from gesso.wire.home import Home

from . import form, state
from .state import State
from .task import Accepted, Fetched, Happening, Refused, Task, Waiting

GLANCE_SECONDS = 1.0
"""How often it is looked whether the daemon is still there: a look at a lock file, not a message."""
LEAVING_SECONDS = 20.0


@dataclass(frozen=True)
class Options:
    """How a job is to run; see `Client.submit`. Hosts want speed and to be first: a person waits."""

    level: str = "fast"
    priority: str = "interactive"
    output: str = "png"
    key: Optional[str] = None


class Session:
    """``name``: how the daemon's lists call this host. ``start``: whether `submit` may start a daemon. ``wake`` is called from any thread
    when there is something to poll, for hosts that need no timer while nothing happens. ``digest`` is called with each result on its job's
    thread, and what it gives is in the task: a host turns pictures into its own form there.
    """

    def __init__(
        self,
        name: str,
        *,
        home: Optional[Home] = None,
        start: bool = True,
        wake: Callable[[], None] = lambda: None,
        digest: Callable[[Result], Any] = lambda _: None,
    ) -> None:
        self._digest = digest
        self.name = name
        self.home = Home.find() if home is None else home
        self._elsewhere = home is None and bool(os.environ.get("GESSO_ADDRESS"))  # a daemon on another machine
        self._given_home = home
        self.start = start
        self.state: State = state.UNKNOWN
        self.surface: Optional[form.Surface] = None
        self.document: Mapping[str, Any] = {}
        self.status: Mapping[str, Any] = {}
        self.tasks: Dict[int, Task] = {}
        self.suspended = False
        self.last_error: Optional[GessoError] = None
        self._wake = wake
        self._happened: "queue.SimpleQueue[Tuple[Optional[int], Any]]" = queue.SimpleQueue()
        self._orders: "queue.SimpleQueue[Optional[Callable[[], object]]]" = queue.SimpleQueue()
        self._client: Optional[Client] = None
        self._came = threading.Condition()
        self._closed = False
        self._counter = 0
        self._thread = threading.Thread(target=self._serve, name="gesso-panel", daemon=True)
        self._thread.start()

    def connect(self, start: bool = False) -> None:
        """Look for the daemon; with ``start``, start one where none runs."""
        self._order(lambda: self._connect(start))

    def fix(self, name: str) -> None:
        """What the button of a state does; ``locate`` is the host's, which then sets ``GESSO_COMMAND`` and asks for ``start``."""
        self._order({"again": lambda: self._connect(self.start), "start": lambda: self._connect(True), "restart": self._restart}[name])

    def submit(self, operation: str, params: Mapping[str, Any], options: Optional[Options] = None, **memo: Any) -> Task:
        """Give the daemon a job; bytes and paths among the parameters are pictures, and functions are called on the job's own thread, where
        they make a picture's file. Returns at once.
        """
        task = self._task(operation, params, memo)
        self._thread_of(task, lambda: self._send(task.number, operation, dict(params), options or Options()))
        return task

    def attach(self, job: str, operation: str = "", params: Optional[Mapping[str, Any]] = None, **memo: Any) -> Task:
        """Follow a job again that an earlier session, or another program, gave to the daemon."""
        task = self._task(operation, params or {}, memo)
        task.job, task.state = job, "waiting"
        self._thread_of(task, lambda: self._follow_again(task.number, job, 0))
        return task

    def cancel(self, task: Task) -> None:
        """Ask for a task's end; it then becomes ``cancelled``, unless it was faster."""
        task.cancelling = True
        if task.job is not None:
            self._cancel(task.job)

    def suspend(self) -> threading.Event:
        """Give the device to the host, for a render; see `Client.suspend`. The event is set when it is free, or cannot be."""
        return self._lend(True)

    def resume(self) -> threading.Event:
        """Take the device back."""
        return self._lend(False)

    def refresh(self) -> None:
        """Read schemas and status again."""
        self._order(lambda: self._describe(self._client))

    def ask(self, call: Callable[[Client], Any], then: Callable[[Any], None]) -> None:
        """Ask the daemon something small; ``then`` gets the answer, or the GessoError, in `poll`. Nothing is asked without a connection."""

        def run() -> None:
            if self._client is not None:
                try:
                    found = call(self._client)
                except GessoError as fault:
                    found = fault
                self._tell(None, lambda: then(found))

        self._order(run)

    def poll(self, most: int = 64) -> List[Task]:
        """Take in what happened since; gives the tasks that changed, each once. Costs microseconds."""
        changed: Dict[int, Task] = {}
        for _ in range(most):
            try:
                number, happening = self._happened.get_nowait()
            except queue.Empty:
                break
            if number is None:
                happening()
                continue
            task = self.tasks[number]
            task.take(happening)
            if task.error is not None:
                self.last_error = task.error
            if isinstance(happening, Accepted) and task.cancelling:
                self._cancel(happening.job)
            changed[number] = task
        return list(changed.values())

    def wait(self, task: Task, seconds: Optional[float] = None) -> Task:
        """For hosts without a window: poll until the task has ended; raises TimeoutError."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not task.ended:
            if not self.poll():
                time.sleep(0.005)
            if deadline is not None and time.monotonic() >= deadline and not task.ended:
                raise TimeoutError(f"The job has not ended within {seconds:g} s; it goes on.")
        return task

    def forget(self, task: Task) -> None:
        """Take a task that has ended off the list."""
        if task.ended:
            self.tasks.pop(task.number, None)

    def close(self) -> None:
        """End the connection; jobs go on. Returns at once."""
        self._closed = True
        self._orders.put(None)
        with self._came:
            self._came.notify_all()

    # -- on threads of our own ------------------------------------------------------------------------------------------------------------

    def _task(self, operation: str, params: Mapping[str, Any], memo: Dict[str, Any]) -> Task:
        self._counter += 1
        task = self.tasks[self._counter] = Task(self._counter, operation, params, memo)
        return task

    def _thread_of(self, task: Task, run: Callable[[], None]) -> None:
        threading.Thread(target=run, name=f"gesso-job-{task.number}", daemon=True).start()

    def _order(self, function: Callable[[], object]) -> None:
        self._orders.put(function)

    def _tell(self, number: Optional[int], happening: Happening) -> None:
        self._happened.put((number, happening))
        self._wake()

    def _set(self, **values: Any) -> None:
        self._tell(None, lambda: self.__dict__.update(values))

    def _serve(self) -> None:
        while not self._closed:
            try:
                order = self._orders.get(timeout=GLANCE_SECONDS)
            except queue.Empty:
                self._watch()
                continue
            if order is None:
                break
            try:
                order()
            except GessoError as fault:
                self._set(last_error=fault)
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connect(self, start: bool) -> Client:
        """The client that there is, if its daemon is; else a new one. Raises what `Client` raises, after the state has been told."""
        if self._client is not None:
            if self._alive():
                return self._client
            old, self._client = self._client, None
            old.close()
        self._set(state=state.LOOKING)
        try:
            client = Client(start, self._given_home, name=self.name, on_start=lambda sentence: self._set(state=state.starting(sentence)))
            self._describe(client)
        except GessoError as fault:
            self._set(state=state.of_fault(fault), last_error=fault)
            raise
        self._set(state=state.connected(client.welcome))
        with self._came:
            self._client = client
            self._came.notify_all()
        return client

    def _describe(self, client: Optional[Client]) -> None:
        if client is not None:
            document, status = client.describe(), client.status()
            self._set(document=document, surface=form.parse(document), status=status, suspended=bool(status.get("suspended")))

    def _watch(self) -> None:
        """Notice a daemon that has left, or come back."""
        if self._alive():
            if self._client is None and self.state.name in ("lost", "stopped"):
                self._order(lambda: self._connect(False))
        elif self._client is not None:
            crashed = discovery.read(self.home) is not None  # one that was stopped takes its file away
            old, self._client = self._client, None
            old.close()
            self._set(state=state.lost())
            if crashed and self.start and any(not task.ended for task in list(self.tasks.values())):
                self._order(lambda: self._connect(True))

    def _alive(self) -> bool:
        """Whether a daemon owns the state. Of one on another machine only its answers tell."""
        return self._elsewhere or discovery.is_owned(self.home)

    def _restart(self) -> None:
        """End a daemon of another version as a service manager would, then start ours."""
        info = discovery.read(self.home)
        if info is not None and discovery.is_owned(self.home):
            os.kill(info.pid, signal.SIGTERM)
        deadline = time.monotonic() + LEAVING_SECONDS
        while discovery.is_owned(self.home) and time.monotonic() < deadline:
            time.sleep(0.05)
        self._connect(True)

    def _lend(self, lend: bool) -> threading.Event:
        answered = threading.Event()

        def ask() -> None:
            try:
                if self._client is not None:
                    (self._client.suspend if lend else self._client.resume)()
                    self._set(suspended=lend)
            finally:
                answered.set()

        self._order(ask)
        return answered

    def _cancel(self, job: str) -> None:
        def ask() -> None:
            if self._client is not None:
                self._client.cancel(job)

        self._order(ask)

    def _send(self, number: int, operation: str, params: Dict[str, Any], options: Options) -> None:
        try:
            made = {name: value() if callable(value) else value for name, value in params.items()}
            client = self._wanted_client()
            job = client.submit(operation, made, key=options.key, level=options.level, priority=options.priority, output=options.output)
        except GessoError as fault:
            self._tell(number, Refused(fault))
            return
        self._tell(number, Accepted(job.id, job.params))
        self._follow(number, job)

    def _wanted_client(self) -> Client:
        """The connection, made now where there is none; raises what `Client` raises."""
        answer: "queue.SimpleQueue[Any]" = queue.SimpleQueue()

        def connect() -> None:
            try:
                answer.put(self._connect(self.start))
            except GessoError as fault:
                answer.put(fault)

        if self._closed:
            raise Unreachable("This session is closed.")
        self._order(connect)
        while True:
            try:
                found = answer.get(timeout=GLANCE_SECONDS)
                break
            except queue.Empty:
                if self._closed:
                    raise Unreachable("This session is closed.") from None
        if isinstance(found, GessoError):
            raise found
        client: Client = found
        return client

    def _follow(self, number: int, job: Job) -> None:
        """Hand over every event; where the daemon goes away, wait until it is back."""
        seen = 0
        try:
            for event in job:
                seen = event.seq
                self._tell(number, event)
                if isinstance(event, Done):
                    result = job.result()
                    self._tell(number, Fetched(result, self._digest(result)))
        except Unreachable:
            if not self._closed:
                self._follow_again(number, job.id, seen + 1)
        except GessoError as fault:
            self._tell(number, Refused(fault))

    def _follow_again(self, number: int, job: str, first: int) -> None:
        self._tell(number, Waiting())
        while True:
            with self._came:
                self._came.wait_for(lambda: self._closed or self._client is not None)
                client = self._client
            if self._closed or client is None:
                return
            try:
                again, about = client.attach(job, first), client.job(job)
            except Unreachable:
                time.sleep(GLANCE_SECONDS)
                continue
            except GessoError as fault:
                self._tell(number, Refused(fault))
                return
            self._tell(number, Accepted(job, about.get("params", {})))
            self._follow(number, again)
            return
