"""A small supervisor: child processes, one prefixed log, an orderly stop."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from apps.core.launcher.errors import LaunchError, Stopped

CHILD = Path(__file__).with_name("child.py")
REAPER = Path(__file__).with_name("reaper.py")
COLOURS = {"web": 36, "worker": 33, "beat": 35, "postgres": 34, "valkey": 32}
NOTEWORTHY = re.compile(r"\b(WARNING|ERROR|FATAL|PANIC)\b|No space left")
# Said by healthy servers at every start; neither asks anything of the person.
HARMLESS = re.compile(r"the database system is starting up|Memory overcommit must be enabled")
NO_SPACE = re.compile(r"No space left on device|ENOSPC|Disk quota exceeded")
LINE_END = re.compile(rb"\r\n|\n|\r")  # progress bars go back to the line's beginning; each state becomes a line
TAIL = 30


@dataclass
class Child:
    """One running command.

    ``stop_signal`` asks it to end; ``orphan_signal`` is what the kernel sends it when the launcher dies;
    ``grace`` is how many seconds it has before its whole process group is killed; ``repeat`` sends the stop signal
    again after that many seconds, for a program that can swallow the first.
    """

    name: str
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals
    grace: float
    repeat: float | None
    quiet: bool
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))
    rest: bytes = b""

    def send(self, number: signal.Signals) -> None:
        """Signal the child; one that has just ended is fine."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def last_words(self, lines: int = 12) -> str:
        """The last lines it said, indented, for an explanation."""
        return "\n".join(f"    {line}" for line in list(self.tail)[-lines:])

    def kill_group(self) -> None:
        """End what is left of the child's process group. Each child leads its own."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return


class Supervisor:
    """Starts children in order, pumps their output, stops them in a given order."""

    def __init__(self, *, keep_open: Sequence[int] = (), write: Callable[[str], None] | None = None) -> None:
        self.children: dict[str, Child] = {}
        self.stop_requests = 0
        self._keep_open = tuple(keep_open)
        self._write = write or _print
        self._selector = selectors.DefaultSelector()
        self._told_no_space = False
        self._reaper: subprocess.Popen[bytes] | None = None

    def catch_signals(self) -> None:
        """From now on SIGINT, SIGTERM and SIGHUP ask for an orderly stop; a second one hurries it."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stop_requests += 1

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        wrapper: Sequence[str] = (),
        guarded: bool = True,
        stop_signal: signal.Signals = signal.SIGTERM,
        orphan_signal: signal.Signals = signal.SIGTERM,
        grace: float = 10.0,
        orphan_grace: float | None = None,
        repeat: float | None = None,
        quiet: bool = False,
        foreground: bool = False,
    ) -> Child:
        """Start a command as a child that does not outlive this process.

        Args:
            wrapper: what stands before the command, to change who it runs as (see servers.py).
            guarded: False if the wrapper itself binds the command to the life of this process.
            orphan_grace: seconds that its process group may go on after the launcher's death; ``grace`` if not given.
            quiet: log only what looks like a warning.
            foreground: leave it the terminal (no log, same process group), for interactive commands.
        """
        guard = [sys.executable, "-IS", str(CHILD), str(int(orphan_signal)), str(os.getpid()), "--"] if guarded else []
        process = subprocess.Popen(  # noqa: S603 - commands are our own or given by the person who calls
            [*wrapper, *guard, *command],
            env=dict(env),
            cwd=cwd,
            stdin=None if foreground else subprocess.DEVNULL,
            stdout=None if foreground else subprocess.PIPE,
            stderr=None if foreground else subprocess.STDOUT,
            # A session of its own: Ctrl-C in the terminal reaches the launcher alone, which then keeps the order.
            start_new_session=not foreground,
            pass_fds=self._keep_open,
        )
        if not foreground:
            self._tell_reaper(process.pid, grace if orphan_grace is None else orphan_grace)
        child = Child(name, process, stop_signal, grace, repeat, quiet)
        if process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)
            self._selector.register(process.stdout, selectors.EVENT_READ, child)
        self.children[name] = child
        return child

    def _tell_reaper(self, group: int, seconds: float) -> None:
        """Have the group ended ``seconds`` after this process was killed; negative seconds forget it."""
        if self._reaper is None:
            # It keeps the launcher's lock too, so that the next start waits until it has done its work.
            self._reaper = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-IS", str(REAPER)],
                stdin=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                pass_fds=self._keep_open,
            )
        assert self._reaper.stdin is not None
        try:
            self._reaper.stdin.write(f"{group} {seconds}\n".encode())
        except BrokenPipeError:
            # Somebody killed it. The children still get the kernel's signal, and the next one is listed anew.
            self._dismiss_reaper()

    def _dismiss_reaper(self) -> None:
        reaper, self._reaper = self._reaper, None
        if reaper is not None and reaper.stdin is not None:
            reaper.stdin.close()
            reaper.wait()

    def pump(self, timeout: float) -> None:
        """Pass on what the children say, waiting at most ``timeout`` seconds for it."""
        if not self._selector.get_map():
            time.sleep(timeout)
            return
        for key, _ in self._selector.select(timeout):
            self._read(key.data, key.fileobj)  # type: ignore[arg-type]

    def _read(self, child: Child, stream: IO[bytes]) -> None:
        try:
            data = os.read(stream.fileno(), 65536)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(stream)
            stream.close()
        *lines, child.rest = LINE_END.split(child.rest + data)
        if not data and child.rest:
            lines, child.rest = [child.rest], b""
        for line in filter(bytes.strip, lines):
            self._log(child, line.decode(errors="replace").rstrip())

    def _hear_out(self, child: Child) -> None:
        """Read the last words of a child that has ended; what its own children may say later is not waited for."""
        while any(key.data is child for key, _ in self._selector.select(0.0)):
            self.pump(0.0)
        if child.rest:
            rest, child.rest = child.rest, b""
            self._log(child, rest.decode(errors="replace").rstrip())

    def _log(self, child: Child, line: str) -> None:
        child.tail.append(line)
        if not child.quiet or (NOTEWORTHY.search(line) and not HARMLESS.search(line)):
            self.say(child.name, line)
        if not self._told_no_space and NO_SPACE.search(line):
            self._told_no_space = True
            self.say("launcher", "The disk is full. Make room; the servers go on by themselves or after a new start.")

    def say(self, name: str, line: str) -> None:
        """One line of the common log."""
        if sys.stdout.isatty():
            self._write(f"\x1b[{COLOURS.get(name, 1)}m{name:>8}\x1b[0m | {line}")
        else:
            self._write(f"{name:>8} | {line}")

    def wait_until(self, child: Child, ready: Callable[[], bool], *, patience: float) -> bool:
        """Pump until ``ready`` is true. False if the child ended or ``patience`` seconds went by.

        Raises:
            Stopped: if a signal asked for it.
        """
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.stop_requests:
                raise Stopped
            if ready():
                return True
            if child.process.poll() is not None:
                self._hear_out(child)
                return False
            self.pump(0.03)
        return False

    def finish(self, child: Child) -> int:
        """Pump until a child that is meant to end has ended; its exit code.

        Raises:
            Stopped: if a signal asked for it.
        """
        while child.process.poll() is None:
            if self.stop_requests:
                raise Stopped
            self.pump(0.05)
        self._hear_out(child)
        del self.children[child.name]
        self._tell_reaper(child.process.pid, -1)
        return child.process.returncode

    def watch(self) -> Child | None:
        """Pump until a signal asks to stop (None) or a child ends by itself (that child)."""
        while not self.stop_requests:
            self.pump(0.2)
            for child in self.children.values():
                if child.process.poll() is not None:
                    return child
        return None

    def stop_all(self, order: Sequence[str]) -> None:
        """Stop the named children one after another, then any other, newest first."""
        others = [name for name in reversed(self.children) if name not in order]
        for name in [*order, *others]:
            if name in self.children:
                self._stop(self.children.pop(name))
        self._dismiss_reaper()

    def _stop(self, child: Child) -> None:
        begin = time.monotonic()
        again = begin + child.repeat if child.repeat else None
        requests = self.stop_requests
        child.send(child.stop_signal)
        while child.process.poll() is None:
            now = time.monotonic()
            if now - begin > child.grace or self.stop_requests > max(requests, 1):
                self.say("launcher", f"{child.name} did not end in time; killing it.")
                break
            if again and now > again:
                again = now + (child.repeat or 1.0)
                child.send(child.stop_signal)
            self.pump(0.03)
        # Also after an orderly end: a worker's own children must not stay behind.
        if os.getpgid(0) != child.process.pid and child.process.stdout is not None:
            child.kill_group()
        elif child.process.poll() is None:
            child.process.kill()
        child.process.wait()
        if child.process.stdout is not None:
            self._tell_reaper(child.process.pid, -1)
        self.pump(0.0)


def require_success(child: Child, code: int, what: str) -> None:
    """Raise for a step that failed, with its last words.

    Raises:
        LaunchError: if ``code`` is not 0.
    """
    if code == 0:
        return
    if any(NO_SPACE.search(line) for line in child.tail):
        what = f"The disk is full: {what}"
    raise LaunchError(f"{what} failed (exit code {code}). Its last words:\n{child.last_words()}")


def _print(line: str) -> None:
    print(line, flush=True)
