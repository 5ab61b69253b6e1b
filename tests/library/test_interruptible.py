"""Ctrl-C stops a build that holds its thread in native code, and a second one ends the process."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from camera_perception.core.errors import BuildCancelled
from camera_perception.tools.interruptible import EXIT_INTERRUPTED, run_with_progress_bar

# The work tells that it runs, then sleeps in C code without looking at signals, as a builder does.
PROGRAM = """
import sys, time
from camera_perception.tools.interruptible import run_with_progress_bar
from camera_perception.core.errors import BuildCancelled

def work(progress):
    print("working", flush=True)
    while progress("Tactic selection", 0.5) or {stubborn}:
        time.sleep(0.02)
    raise BuildCancelled("m")

try:
    run_with_progress_bar(work)
except BuildCancelled as error:
    print(error, flush=True)
"""


def started(stubborn: bool) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM.format(stubborn=stubborn)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    return process


def test_the_first_ctrl_c_asks_the_work_to_stop():
    process = started(stubborn=False)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert "cancelled; nothing was changed" in out
    assert process.returncode == 0


def test_a_second_ctrl_c_exits_immediately():
    process = started(stubborn=True)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "exit immediately" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == EXIT_INTERRUPTED


def test_results_and_errors_are_passed_on():
    assert run_with_progress_bar(lambda progress: progress("a phase", 0.5) and 7) == 7
    with pytest.raises(BuildCancelled, match="of model 'm' was cancelled"):
        run_with_progress_bar(lambda progress: (_ for _ in ()).throw(BuildCancelled("m")))
