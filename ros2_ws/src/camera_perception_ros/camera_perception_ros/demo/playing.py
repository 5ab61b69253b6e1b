"""While the demo plays: how far it is, and which nodes are gone."""

from __future__ import annotations

import time

import typer
from tqdm import tqdm

from camera_perception.core.errors import PerceptionError
from camera_perception_ros.demo.processes import Processes

PLAYER = "bag_player"
STARTING = 240.0  # seconds that everything may take beside playing


class DemoError(PerceptionError):
    """The demo has nothing to show, and says why."""


def wait_for_player(processes: Processes, seconds: float) -> set[str]:
    """Until the player has ended, which plays for so long. Returns which nodes were killed: the others go on.

    DemoError when a node ended by itself, or the player does not end.
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
            _notice(processes, ended, killed)
            time.sleep(0.1)
            bar.update(min(time.monotonic() - started, seconds) - bar.n)
            if time.monotonic() > started + 2 * seconds + STARTING:
                raise DemoError(f"the player does not come to an end; see the logs in {processes.logs}")
    _notice(processes, ended, killed)
    return killed


def _notice(processes: Processes, ended: dict[str, int], killed: set[str]) -> None:
    """Adds to killed what was killed since."""
    for name, code in ended.items():
        if code > 0 or (code == 0 and name != PLAYER):
            raise DemoError(f"{name} ended early with exit code {code}: {processes.last_words(name)}")
        if code < 0 and name == PLAYER:
            raise DemoError(f"{PLAYER} was killed by signal {-code}, and without it there is nothing to show")
        if code < 0 and name not in killed:
            typer.echo(f"{name} was killed by signal {-code}; the others go on")
            killed.add(name)
