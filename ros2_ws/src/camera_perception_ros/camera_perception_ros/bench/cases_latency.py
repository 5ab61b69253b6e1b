"""Cost of a frame beside engine and transport, for several backends in the same rounds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rclpy.publisher import Publisher
from tqdm import tqdm

from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import Engine
from camera_perception.image.letterbox import Preprocessor
from camera_perception.tools.bench.report import Table, against
from camera_perception.tools.bench.statistics import around
from camera_perception_ros.bench.endpoints.images import SentImages
from camera_perception_ros.bench.endpoints.process_stats import computing_ms
from camera_perception_ros.bench.harness import Answer, Harness

TIMEOUT = 3.0  # seconds until an answer counts as lost
WARM_UP = 5  # rounds
LIMIT_MS, LIMIT_RATIO = 3.0, 1.15
STAGES = ("decode_ms", "preprocess_ms", "inference_ms", "postprocess_ms")
HEAD = (
    "engine", "published to received ms", "engine alone ms", "bare hop ms", "around", "p95 ms", "ratio", "p95",
    "computing ms",
)  # fmt: skip
BAR = "{desc} {bar} {n:.0f}/{total:.0f} s"


@dataclass
class Rounds:
    """Milliseconds per round of one backend: its node, its engine alone, and the echo's hop."""

    whole: list[float] = field(default_factory=list)
    engine: list[float] = field(default_factory=list)
    hop: list[float] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    computing: list[float] = field(default_factory=list)

    def metrics(self) -> dict[str, Any]:
        frames = [answer.read() for answer in self.answers]
        stages = {stage: float(np.median([getattr(frame, stage) for frame in frames])) for stage in STAGES}
        return {
            **around(self.whole, self.engine, self.hop), "rounds": len(self.whole), "stages": stages,
            "computing_around": float(np.median(self.computing)),
            "objects": float(np.mean([len(frame.objects) + len(frame.traffic_lights) for frame in frames])),
            "lanes": float(np.mean([len(frame.lanes) for frame in frames])),
        }  # fmt: skip


class Lockstep:
    """One image at a time through echo, bare engine and node of every backend.

    cameras  backend -> camera whose node runs it
    pids     process ids of the cameras' nodes, and of the echo under "echo"
    """

    def __init__(
        self,
        harness: Harness,
        images: SentImages,
        spec: ModelSpec,
        cameras: Mapping[str, str],
        engines: Mapping[str, Engine],
        pids: Mapping[str, int],
    ) -> None:
        self._pids = pids
        self._harness, self._images, self._cameras, self._engines = harness, images, cameras, engines
        self._senders = {camera: harness.to_camera(camera) for camera in cameras.values()}
        self._preprocess = Preprocessor(spec.input)
        self.lost = 0

    def measure(self, seconds: float) -> dict[str, dict[str, Any]]:
        """Metrics of each backend. Rounds with a lost answer are counted in `lost` and left out."""
        for _ in range(WARM_UP):
            self._round({backend: Rounds() for backend in self._cameras})
        self.lost = 0
        return {name: rounds.metrics() for name, rounds in self._measure(seconds).items() if rounds.whole}

    def _measure(self, seconds: float) -> dict[str, Rounds]:
        results = {backend: Rounds() for backend in self._cameras}
        began, number = time.monotonic(), 0
        with tqdm(total=round(seconds), desc="around the engine", bar_format=BAR, disable=None) as bar:
            while (passed := time.monotonic() - began) < seconds or number < 3:
                bar.update(min(passed, seconds) - bar.n)
                self._round(results)
                number += 1
        return results

    def _round(self, results: Mapping[str, Rounds]) -> None:
        hop, hop_computing = self._answer(self._harness.to_echo, self._harness.echoes, self._pids["echo"])
        for backend, camera in self._cameras.items():
            engine, engine_computing = self._bare(self._engines[backend])
            answer, computing = self._answer(self._senders[camera], self._harness.answers[camera], self._pids[camera])
            if hop is None or answer is None:
                self.lost += 1
                continue
            rounds = results[backend]
            rounds.hop.append(_passed(hop))
            rounds.engine.append(engine)
            rounds.whole.append(_passed(answer))
            rounds.answers.append(answer[1])
            rounds.computing.append(computing - engine_computing - hop_computing)

    def _answer(
        self, sender: Publisher, answers: Mapping[int, Answer], pid: int
    ) -> tuple[tuple[int, Answer] | None, float]:
        """Stamp and answer of one image, and the CPU milliseconds of the answering process."""
        before = computing_ms(pid)
        stamp, image = self._images.next()
        sender.publish(image)
        answered = self._harness.wait(lambda: stamp in answers, TIMEOUT)
        return (stamp, answers[stamp]) if answered else None, computing_ms(pid) - before

    def _bare(self, engine: Engine) -> tuple[float, float]:
        """Milliseconds of one image: wall time, and CPU time of all threads."""
        slot = engine.acquire()
        self._preprocess(self._images.pixels[0], slot.images[0])
        started = time.perf_counter_ns(), time.process_time_ns()
        engine.submit(slot)
        engine.wait(slot)
        ended = time.perf_counter_ns(), time.process_time_ns()
        engine.release(slot)
        return (ended[0] - started[0]) / 1e6, (ended[1] - started[1]) / 1e6


def _passed(answer: tuple[int, Answer]) -> float:
    return (answer[1].received_ns - answer[0]) / 1e6


def around_table(results: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = [
        (
            name, r["whole"], r["engine"], r["hop"], against(r["around"], LIMIT_MS, "ms"), r["around_p95"],
            against(r["ratio"], LIMIT_RATIO), r["ratio_p95"], r["computing_around"],
        )
        for name, r in results.items()
    ]  # fmt: skip
    return Table(
        "Cost around the engine",
        (
            "engine",
            "published to received ms",
            "engine alone ms",
            "bare hop ms",
            "around",
            "p95 ms",
            "ratio",
            "p95",
            "computing ms",
        ),
        rows,
        "One camera, 1280x720 bgr8. Published to received: from sending an image until its answer arrives. Engine "
        "alone: the network on the same image in this process. Bare hop: the image to a process that answers with its "
        "header at once. Around: the first less the other two, each round by itself; ratio: the first over the engine. "
        "Computing: the same difference in CPU time, which other programs disturb less. Medians and p95 over rounds.",
    )


def stages_table(results: Mapping[str, Mapping[str, Any]]) -> Table:
    """Time within the node by stage; the rest is executor, threads, and publication."""
    rows = []
    for name, r in results.items():
        stages = [r["stages"][stage] for stage in STAGES]
        rows.append((name, *stages, r["whole"] - r["hop"] - sum(stages), r["objects"], r["lanes"]))
    head = ("engine", *(f"{stage.removesuffix('_ms')} ms" for stage in STAGES), "rest ms", "objects", "lanes")
    return Table("Stages within the node", head, rows, "Medians of the message fields; objects and lanes per frame.")
