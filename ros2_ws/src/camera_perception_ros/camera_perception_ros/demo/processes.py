"""Nodes as operating-system processes that are started and stopped together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
    "MALLOC_TOP_PAD_": "134217728",
}


def free_domain() -> int:
    """A ROS domain of 50 to 99 that no process of this machine uses: two measurements must not hear each other."""
    domains = [50 + (os.getpid() + step) % 50 for step in range(50)]
    return next((domain for domain in domains if _is_free(domain)), domains[0])


def _is_free(domain: int) -> bool:
    """Whether nobody has the port of the first participant (DDSI-RTPS 2.5, 9.6.2)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7410 + 250 * domain))
        except OSError:
            return False
    return True


def environment(domain: int) -> dict[str, str]:
    """Environment of every process: own domain, this machine only, shared-memory profile, malloc settings."""
    env = {**os.environ, **MALLOC, "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    if env.get("ROS_DISTRO") != "humble":
        env.pop("ROS_LOCALHOST_ONLY", None)  # later releases only warn about it
    # One engine per camera process on few cores: more threads than cores only block each other.
    env.setdefault("OMP_NUM_THREADS", "1")
    env.setdefault("RCUTILS_COLORIZED_OUTPUT", "0")
    return env


class Processes:
    """Context manager that on exit interrupts every process, then kills those that remain."""

    def __init__(self, env: dict[str, str], logs: Path) -> None:
        self._env, self.logs = env, logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, node: str, *arguments: str) -> None:
        """Start a node under a name, with its output in a log file.

        It gets a session of its own: Ctrl-C does not reach it, and the order of stopping is ours.
        """
        rename = f"__node:={name.rpartition('/')[2]}"
        self.start_module(name, "camera_perception_ros.nodes.main", node, "--ros-args", "-r", rename, *arguments)

    def start_module(self, name: str, module: str, *arguments: str) -> None:
        """Start a Python module under a name, with its output in a log file."""
        self._start(name, "-m", module, *arguments)

    def start_program(self, name: str, program: str, *arguments: str) -> None:
        """Start Python with a program text under a name, with its output in a log file."""
        self._start(name, "-c", program, *arguments)

    def _start(self, name: str, *arguments: str) -> None:
        with self.log(name).open("wb") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, *arguments],
                env=self._env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def log(self, name: str) -> Path:
        return self.logs / f"{name.strip('/').replace('/', '.')}.log"

    def ended(self) -> dict[str, int]:
        """Exit codes of the processes that have ended, by name."""
        codes = {name: process.poll() for name, process in self._running.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def wait(self, name: str, seconds: float) -> int | None:
        """Exit code of a process, or None when it still runs after `seconds`."""
        try:
            return self._running[name].wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def last_error(self, name: str) -> str:
        """The last error line of a process's log, else its last line."""
        lines = [line for line in self.log(name).read_text("utf-8", "replace").splitlines() if line.strip()]
        errors = [line for line in lines if "[ERROR]" in line or "Error" in line]
        return (errors or lines or ["no output"])[-1]

    def kill(self, name: str) -> None:
        """kill -9."""
        self._running[name].kill()
        self._running[name].wait()

    def stop(self, *names: str, seconds: float = 8.0) -> dict[str, int]:
        """Interrupt processes and wait; after `seconds` they are killed. Returns exit codes by name."""
        selected = {name: self._running[name] for name in names if name in self._running}
        for process in selected.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + seconds
        for process in selected.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        return {name: process.wait() for name, process in selected.items()}

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A second Ctrl-C must not leave processes behind.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        self.stop(*self._running, seconds=3.0)
        for number, handler in before.items():
            signal.signal(number, handler)
