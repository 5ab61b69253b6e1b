"""kill -9 of each node under flow, again and again: it must work after the next start, and its neighbours always."""

from __future__ import annotations

import random
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from camera_perception.core.errors import PerceptionError
from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import IMAGE
from camera_perception_ros.bench.reliability.figures import Held, Outcome, left_behind, segments
from camera_perception_ros.bench.reliability.outside import (
    SECOND,
    SIZE,
    Outside,
    camera_arguments,
    fusion_arguments,
    ros_arguments,
)
from camera_perception_ros.bench.reliability.rounds import Rounds
from camera_perception_ros.demo.processes import Processes

START = 90.0  # seconds that a node may take to start on a busy machine
SETTLE = 6.0  # seconds after which files of a killed process count as left behind
DRAIN = 0.2  # seconds in which what a killed process has sent is read, lest it counts as sent by the next one
WITNESS, UNDER_TEST = "left", "front"
IMAGES = f"/{WITNESS}/image_raw"


@dataclass(frozen=True)
class Victim:
    """A node that is killed.

    arguments  of the round with that number
    works      whether it works, given the monotonic time of its start
    """

    node: str
    arguments: Callable[[int], list[str]]
    works: Callable[[float], bool]


@dataclass(frozen=True)
class Killing:
    """Kills nodes while the witness, a camera node that lives through all, gets images."""

    outside: Outside
    processes: Processes
    model: Path
    out: Path

    def victims(self) -> dict[str, Victim]:
        """All nodes, by name."""
        played: list[float] = []
        from sensor_msgs.msg import Image

        self.outside.node.create_subscription(
            Image, "/played/image_raw", lambda image: played.append(time.monotonic()), 10
        )
        flows, page = self.outside.flows, 18_000 + random.randrange(1000)
        bag, rig = write_bag(self.out / "bag"), write_rig(self.out / "rig.yaml")

        def answers(*cameras: str) -> Callable[[float], bool]:
            return lambda since: all(flows[camera].served_since(since) for camera in cameras)

        current: list[Path] = []

        def recording(number: int) -> list[str]:
            current[:] = [self.out / f"killed_{number}"]
            return ros_arguments(output=current[0], topics=f"[{IMAGES}]")

        return {
            victim.node: victim
            for victim in (
                Victim("camera_node", lambda number: camera_arguments(UNDER_TEST, self.model), answers(UNDER_TEST)),
                Victim(
                    "rig_node",
                    lambda number: ["--rig", str(rig), *camera_arguments(UNDER_TEST, self.model)[2:]],
                    answers("rig_a", "rig_b"),
                ),
                Victim(
                    "fusion_node",
                    lambda number: fusion_arguments(WITNESS),
                    lambda since: bool(self.outside.fused) and self.outside.fused[-1] > since,
                ),
                Victim("bag_recorder_node", recording, lambda since: holds_an_image(current[0])),
                Victim(
                    "bag_player_node",
                    lambda number: ros_arguments(bag=bag, loop="true"),
                    lambda since: bool(played) and played[-1] > since,
                ),
                Victim("live_node", lambda number: ros_arguments(port=page), lambda since: _serves(page)),
            )
        }

    def kill(self, victim: Victim, rounds: Rounds) -> Outcome:
        """Start it and wait until it works, then again and again: kill, start, wait."""
        created, witness = set[str](), self.processes.pid(WITNESS)
        held, first = Held.by(witness), time.time_ns()
        recovered, slowest, remarks = 0, self._started(victim, 0), Remarks()
        for number in rounds:
            self.outside.spin(random.uniform(0.2, 1.5))
            created |= segments(self.processes.pid(victim.node))
            killed_ns = time.time_ns()
            self.processes.kill(victim.node)
            self.outside.spin(DRAIN)
            self._inspect(victim, number, killed_ns, remarks)
            seconds = self._started(victim, number + 1)
            slowest = max(slowest, seconds)
            recovered += seconds < START
            if seconds >= START:
                remarks.add(f"round {number}: {self.processes.last_error(victim.node)}")
        self.outside.spin(SETTLE)
        lost = self.outside.lost_since(self.outside.flows[WITNESS], first)
        left, grown = left_behind(created), Held.by(witness).since(held)
        self.processes.stop(victim.node)
        return Outcome(f"kill -9 {victim.node}", rounds.done, recovered, slowest, lost, left, grown, remarks.text())

    def _started(self, victim: Victim, number: int) -> float:
        """Seconds from the start of the node until it works; START when it does not."""
        began = time.monotonic()
        self.start(victim, number)
        works = self.outside.wait(partial(victim.works, began), START)
        return min(time.monotonic() - began, START) if works else START

    def start(self, victim: Victim, number: int) -> None:
        given = victim.arguments(number)
        own, ros = (given[:2], given[2:]) if given[0].startswith("--rig") else ([], given)
        module = "camera_perception_ros.nodes.main"
        self.processes.start_module(victim.node, module, victim.node, *own, "--ros-args", *ros)

    def _inspect(self, victim: Victim, number: int, killed_ns: int, remarks: Remarks) -> None:
        if victim.node == "bag_recorder_node":
            remarks.recording(self.out / f"killed_{number}", IMAGES, killed_ns)


class Remarks:
    """What a table of numbers cannot say."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._lost_s: list[float] = []
        self._unreadable = self._recordings = 0

    def add(self, text: str) -> None:
        self._texts.append(text)

    def recording(self, folder: Path, topic: str, killed_ns: int) -> None:
        """Note how many seconds before the kill the recording ends."""
        self._recordings += 1
        try:
            with Bag(folder) as bag:
                last = max((message.stamp_ns for message in bag.messages([topic])), default=0)
        except PerceptionError:
            last = 0
        if last:
            self._lost_s.append((killed_ns - last) / 1e9)
        else:
            self._unreadable += 1

    def text(self) -> str:
        texts = list(self._texts)
        if self._recordings:
            worst = f", at most {max(self._lost_s):.2f} s lost" if self._lost_s else ""
            texts.append(f"{self._recordings - self._unreadable} of {self._recordings} recordings readable{worst}")
        return "; ".join(texts)


def holds_an_image(folder: Path) -> bool:
    """Whether a recording has got so far: before, less than a second may be all there is to lose."""
    return any(file.stat().st_size > SIZE[0] * SIZE[1] for file in folder.glob("*.mcap"))


def write_bag(folder: Path) -> Path:
    """A second of small images."""
    with BagWriter(folder) as bag:
        for number in range(20):
            stamp = SECOND + number * SECOND // 20
            header = {"stamp": {"sec": stamp // SECOND, "nanosec": stamp % SECOND}, "frame_id": "optical_frame"}
            size = {"height": 2, "width": 2, "encoding": "mono8", "step": 2, "data": [0] * 4}
            bag.write_fields("/played/image_raw", IMAGE, stamp, {"header": header, **size})
    return folder


def write_rig(file: Path) -> Path:
    cameras = "".join(
        f"  - name: {name}\n    image_topic: /{name}/image_raw\n    pose: [1.5, 0.0, 1.4, 0.0, 0.0, 0.0]\n"
        for name in ("rig_a", "rig_b")
    )
    file.write_text(f"cameras:\n{cameras}", "utf-8")
    return file


def _serves(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1.0) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
