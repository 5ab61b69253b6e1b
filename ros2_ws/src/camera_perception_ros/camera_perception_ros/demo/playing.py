"""Progress of playback and supervision of the nodes."""

from __future__ import annotations

import time

import typer
from tqdm import tqdm

from camera_perception.core.errors import PerceptionError
from camera_perception_ros.demo.processes import Processes

PLAYER = "bag_player"
STARTING = 240.0  # seconds allowed for everything but playing


class DemoError(PerceptionError):
    """The demo failed; the message says why."""


def wait_for_player(processes: Processes, seconds: float) -> set[str]:
    """Wait for the player, which plays for `seconds`. Returns the nodes that were killed from outside.

    DemoError when a node ends by itself or the player does not end.
    """
    killed: set[str] = set()
    started = time.monotonic()
    with tqdm(
        total=round(seconds),
        unit="s",
        desc="playing",
        bar_format="{desc} {bar} {n:.0f}/{total:.0f} s",
        mininterval=1.0,
        disable=None,
    ) as bar:
        while PLAYER not in (ended := processes.ended()):
            _check_ended(processes, ended, killed)
            time.sleep(0.1)
            bar.update(min(time.monotonic() - started, seconds) - bar.n)
            if time.monotonic() > started + 4 * seconds + STARTING:
                raise DemoError(f"the player did not end in time; see the logs in {processes.logs}")
    _check_ended(processes, ended, killed)
    return killed


def _check_ended(processes: Processes, ended: dict[str, int], killed: set[str]) -> None:
    """Add newly killed nodes to `killed`; DemoError for nodes that ended by themselves."""
    for name, code in ended.items():
        if code > 0 or (code == 0 and name != PLAYER):
            raise DemoError(f"{name} ended early with exit code {code}: {processes.last_error(name)}")
        if code < 0 and name == PLAYER:
            raise DemoError(f"{PLAYER} was killed by signal {-code}: nothing more to play")
        if code < 0 and name not in killed:
            typer.echo(f"{name} was killed by signal {-code}; the other nodes continue")
            killed.add(name)
