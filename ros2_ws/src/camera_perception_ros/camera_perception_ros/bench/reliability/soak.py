"""Memory of the nodes over a long time, while subscribers come and go."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import CompressedImage
from tqdm import tqdm
from visualization_msgs.msg import MarkerArray

from camera_perception.core.errors import PerceptionError
from camera_perception.tools.bench.report import Table
from camera_perception.tools.bench.statistics import slope_per_minute
from camera_perception_msgs.msg import FusedPerception, PerceptionFrame
from camera_perception_ros.bench.endpoints.process_stats import own_memory_mb
from camera_perception_ros.bench.reliability.figures import Held
from camera_perception_ros.bench.reliability.kills import START
from camera_perception_ros.bench.reliability.outside import NEWEST, Outside, camera_arguments, fusion_arguments
from camera_perception_ros.bench.reliability.rounds import Stop
from camera_perception_ros.demo.processes import Processes

LIMIT = 1.0  # MB per hour
CAMERAS = ("alone", "front", "left")
FUSED = CAMERAS[1:]
VISIT = 5.0  # seconds that a subscriber stays, and stays away
EVERY = 2.0  # seconds between two samples
WARM_UP = 1 / 3  # of the time: caches, pools and arenas fill
HEAD = (
    "process",
    "RSS at the start, MB",
    "after warm-up",
    "at the end",
    "MB per hour",
    "of its own",
    "files",
    "threads",
    "images",
    "lost",
)


@dataclass
class Series:
    """Samples of one process."""

    pid: int
    seconds: list[float] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    own_mb: list[float] = field(default_factory=list)

    def take(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.held.append(Held.by(self.pid))
        self.own_mb.append(own_memory_mb(self.pid))

    @property
    def steady(self) -> int:
        """Index of the first sample after the warm-up."""
        return int(WARM_UP * len(self.held))

    @property
    def slope(self) -> float:
        """MB per hour after the warm-up."""
        return self._slope([each.rss_mb for each in self.held])

    def _slope(self, megabytes: list[float]) -> float:
        return 60 * slope_per_minute(self.seconds[self.steady :], megabytes[self.steady :])

    def row(self, name: str, images: int, lost: int) -> tuple[str | int | float, ...]:
        first, steady, last = self.held[0], self.held[self.steady], self.held[-1]
        grown = last.since(steady)
        sizes = (round(each.rss_mb, 1) for each in (first, steady, last))
        slopes = (f"{slope:+.2f}" for slope in (self.slope, self._slope(self.own_mb)))
        return (name, *sizes, *slopes, f"{grown.files:+d}", f"{grown.threads:+d}", images, lost)


@dataclass(frozen=True)
class Soak:
    """One camera node, and two cameras with a fusion node."""

    outside: Outside
    processes: Processes
    model: Path
    stop: Stop

    def run(self, minutes: float) -> tuple[Table, dict[str, float]]:
        """The table, and MB per hour of each process."""
        self._start()
        series = {name: Series(self.processes.pid(name)) for name in (*CAMERAS, "fusion")}
        first = time.time_ns()
        self._observe(series, 60 * minutes)
        rows = []
        for name, samples in series.items():
            flow = self.outside.flows.get(name)
            images = sum(stamp >= first for stamp in flow.sent) if flow else 0
            rows.append(samples.row(name, images, self.outside.lost_since(flow, first) if flow else 0))
        note = (
            f"{minutes:g} minutes, {self.outside.rate:g} images a second and camera; the slope, files and threads are "
            "those after the first third. Of its own: without files and shared memory, such as the images that another "
            f"process sends. Subscribers of all outputs come and go every {VISIT:g} s. Wanted: at most {LIMIT:g} MB "
            "per hour."
        )
        return Table("Soak", HEAD, rows, note), {name: samples.slope for name, samples in series.items()}

    def _start(self) -> None:
        module, began = "camera_perception_ros.nodes.main", time.monotonic()
        for camera in CAMERAS:
            self.outside.play(camera)
            arguments = camera_arguments(camera, self.model)
            self.processes.start_module(camera, module, "camera_node", "--ros-args", *arguments)
        self.processes.start_module("fusion", module, "fusion_node", "--ros-args", *fusion_arguments(*FUSED))

        def works() -> bool:
            flows = self.outside.flows.values()
            return all(flow.served_since(began) for flow in flows) and bool(self.outside.fused)

        if not self.outside.wait(works, START):
            raise PerceptionError(f"the nodes do not answer: {self.processes.last_error(CAMERAS[0])}")

    def _observe(self, series: dict[str, Series], seconds: float) -> None:
        began, visit = time.monotonic(), 0
        visitors: list[Any] = []
        with tqdm(total=round(seconds), desc="soak", unit="s", disable=None) as bar:
            while (now := time.monotonic() - began) < seconds and not self.stop.asked:
                bar.update(round(now) - bar.n)
                for samples in series.values():
                    samples.take(now)
                if now // VISIT > visit:
                    visit = int(now // VISIT)
                    visitors = self._leave(visitors) if visitors else self._come()
                self.outside.spin(min(EVERY, seconds / 20))
        self._leave(visitors)

    def _come(self) -> list[Any]:
        """Subscribers of every output."""
        create, nobody = self.outside.node.create_subscription, lambda message: None
        visitors = [create(FusedPerception, "/fusion/fused", nobody, 10)]
        for camera in CAMERAS:
            visitors += [
                create(PerceptionFrame, f"/{camera}/camera/perception", nobody, 10),
                create(MarkerArray, f"/{camera}/camera/markers", nobody, 10),
                create(CompressedImage, f"/{camera}/camera/overlay/compressed", nobody, NEWEST),
            ]
        return visitors

    def _leave(self, visitors: list[Any]) -> list[Any]:
        for visitor in visitors:
            self.outside.node.destroy_subscription(visitor)
        return []


def steady(slopes: dict[str, float]) -> bool:
    """Whether no process grows by more than LIMIT."""
    return bool(np.all([slope <= LIMIT for slope in slopes.values()]))
