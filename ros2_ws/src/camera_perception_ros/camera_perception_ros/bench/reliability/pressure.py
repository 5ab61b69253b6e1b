"""Faults of the surroundings: a stopped process, a full disk, clocks that jump, a flood of images, twin nodes."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sensor_msgs.msg import Image

from camera_perception.core.errors import PerceptionError
from camera_perception.io.bag_reader import Bag
from camera_perception_ros.bench.reliability.figures import Held, Outcome, left_behind, segments
from camera_perception_ros.bench.reliability.kills import START
from camera_perception_ros.bench.reliability.outside import (
    ANSWER,
    NEWEST,
    SECOND,
    Flow,
    Outside,
    camera_arguments,
    picture,
    ros_arguments,
)
from camera_perception_ros.bench.reliability.rounds import Rounds
from camera_perception_ros.demo.processes import Processes

FLOOD_HZ, FLOOD_SIZE = 500.0, (48, 64)
JUMPS = (3600.0, -3600.0, -86_400.0, 1e9, 0.0)  # seconds of the stamps against the clock
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
from camera_perception_ros.nodes.main import bag_recorder_node
bag_recorder_node()
"""


@dataclass(frozen=True)
class Pressure:
    """Faults around one camera node that is started for each of them."""

    outside: Outside
    processes: Processes
    model: Path
    out: Path
    camera: str = "front"

    @property
    def flow(self) -> Flow:
        return self.outside.flows[self.camera]

    def stopped(self, rounds: Rounds) -> Outcome:
        """SIGSTOP for a second, then SIGCONT."""

        def fault(number: int) -> None:
            for signal_number in (signal.SIGSTOP, signal.SIGCONT):
                os.kill(self.processes.pid(self.camera), signal_number)
                self.outside.spin(1.0 if signal_number == signal.SIGSTOP else 0.0)

        return self._repeated("SIGSTOP for 1 s", rounds, fault)

    def clock_jumps(self, rounds: Rounds) -> Outcome:
        """Stamps that jump by hours and years, forwards and back: every image is answered."""

        def fault(number: int) -> None:
            self.flow.shift = round(JUMPS[number % len(JUMPS)] * SECOND)
            self.outside.spin(0.5)

        outcome = self._repeated("stamps jump by hours and years", rounds, fault)
        self.flow.shift = 0
        return outcome

    def flood(self, rounds: Rounds) -> Outcome:
        """500 small images a second for two seconds; the newest one is answered soon after."""
        publisher = self.outside.node.create_publisher(Image, f"/{self.camera}/image_raw", NEWEST)
        small = picture(9, FLOOD_SIZE)

        def fault(number: int) -> None:
            began = time.monotonic()
            for sent in range(round(2.0 * FLOOD_HZ)):
                publisher.publish(small)
                self.outside.spin(max(0.0, began + (sent + 1) / FLOOD_HZ - time.monotonic()))

        outcome = self._repeated(f"flood of {FLOOD_HZ:g} images a second", rounds, fault)
        self.outside.node.destroy_publisher(publisher)
        return outcome

    def twins(self, rounds: Rounds) -> Outcome:
        """A second node of the same name comes and is killed: the first one goes on."""

        def fault(number: int) -> None:
            module = "camera_perception_ros.nodes.main"
            arguments = camera_arguments(self.camera, self.model)
            self.processes.start_module("twin", module, "camera_node", "--ros-args", *arguments)
            log = self.processes.log("twin")
            self.outside.wait(lambda: "active:" in log.read_text("utf-8", "replace"), START)
            self.processes.kill("twin")

        return self._repeated("a twin of the same name, killed", rounds, fault)

    def _repeated(self, name: str, rounds: Rounds, fault: Callable[[int], None]) -> Outcome:
        """Rounds of a fault at a camera node that works before; it has to answer an image that was sent after each."""
        self.start()
        held, recovered, slowest = Held.by(self.processes.pid(self.camera)), 0, 0.0
        lost = 0
        for number in rounds:
            fault(number)
            began, first = time.monotonic(), time.time_ns() + self.flow.shift
            recovered += self.outside.wait(partial(self.flow.served_since, began), ANSWER)
            slowest = max(slowest, time.monotonic() - began)
            self.outside.spin(1.0)
            lost += self.outside.lost_since(self.flow, first)
        grown = Held.by(self.processes.pid(self.camera)).since(held)
        created = segments(self.processes.pid(self.camera))
        self.processes.stop(self.camera)
        return Outcome(name, rounds.done, recovered, slowest, lost, left_behind(created), grown)

    def start(self) -> None:
        """Start the camera node and wait for answers."""
        began = time.monotonic()
        module = "camera_perception_ros.nodes.main"
        self.processes.start_module(
            self.camera, module, "camera_node", "--ros-args", *camera_arguments(self.camera, self.model)
        )
        if not self.outside.wait(lambda: self.flow.served_since(began), START):
            raise PerceptionError(f"the camera node does not answer: {self.processes.last_error(self.camera)}")
        self.outside.spin(1.0)

    def full_disk(self, rounds: Rounds) -> Outcome:
        """A recording that hits the largest size of a file: one clear line, and what was counted can be read."""
        good, slowest, lost, remark = 0, 0.0, 0, ""
        for number in rounds:
            folder, began = self.out / f"full_{number}", time.monotonic()
            arguments = ros_arguments(output=folder, topics=f"[/{self.camera}/image_raw]")
            self.processes.start_program("recorder", LIMITED, "--ros-args", *arguments)
            self.outside.wait(lambda: "recorder" in self.processes.ended(), START)
            code, log = self.processes.ended().get("recorder"), self.processes.log("recorder").read_text()
            slowest = max(slowest, time.monotonic() - began)
            counted, read = _counted(log), _readable(folder)
            lost += max(0, counted - read)
            good += code == 1 and "make room" in log and "Traceback" not in log and read > 0
            remark = f"log counts {counted} messages, {read} can be read"
        return Outcome("disk full while recording", rounds.done, good, slowest, lost, 0, Held(0, 0, 0), remark)


def _counted(log: str) -> int:
    """Messages that the log of a recorder says it has recorded."""
    line = next((line for line in log.splitlines() if " recorded /" in line), "")
    return sum(int(number) for number in re.findall(r"/\S+ (\d+)", line.partition(" recorded ")[2]))


def _readable(folder: Path) -> int:
    try:
        with Bag(folder) as bag:
            return sum(1 for _ in bag.messages())
    except PerceptionError:
        return 0
