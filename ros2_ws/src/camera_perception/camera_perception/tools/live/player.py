"""Playing a recording for viewers: play, pause, seek, step and speed. Every image is perceived, none is skipped."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterator

from camera_perception.core.errors import PerceptionError
from camera_perception.tools.live.fused import FUSED, LiveFusion
from camera_perception.tools.live.hub import Hub
from camera_perception.tools.live.perceive import Perceiver
from camera_perception.tools.live.protocol import SPEEDS, Command, LiveFrame, packed, to_json
from camera_perception.tools.live.recordings import Picture, Recording

WARM_UP_NS = 600_000_000  # perceived before the image of a seek, so that it has its tracks and velocities
IDLE = 0.2  # seconds between looks for commands while nothing plays
STATE_PERIOD = 0.5  # seconds
RATE_FRAMES = 30  # images from which the achieved rate is measured

Show = Callable[[LiveFrame], None]


class Player:
    """Runs in one thread, `run`; commands come from any.

    tuning  viewers may change thresholds
    show    also called with every frame that is shown, such as for Foxglove
    """

    def __init__(
        self, recording: Recording, perceiver: Perceiver, hub: Hub, *, tuning: bool = True, loop: bool = False,
        show: Show = lambda frame: None,
    ) -> None:  # fmt: skip
        self.recording, self.perceiver, self._hub = recording, perceiver, hub
        self._tuning, self._loop, self.show = tuning, loop, show
        self.playing, self.speed, self.error = True, 1.0, ""
        self.position_ns = recording.start_ns
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._pictures: Iterator[Picture] = iter(())
        self._waiting: Picture | None = None  # the next one to show
        self._shown_ns: dict[str, int] = {}
        self._past: deque[tuple[str, int]] = deque(maxlen=300)  # camera and time of the images before
        self._counts: dict[str, int] = {}
        self._walls: deque[float] = deque(maxlen=RATE_FRAMES)
        self._anchor = (0.0, 0)  # wall clock and position where playing began
        self._told = 0.0
        self._fusion = LiveFusion(list(recording.cameras), recording.motion)
        self._open(recording.start_ns)

    def control(self, command: Command) -> None:
        self._commands.put(command)

    def stop(self) -> None:
        self._commands.put(None)

    def run(self, wait_for_viewer: bool = True) -> None:
        """Play until `stop`; without viewers nothing plays."""
        self._anchor_here()
        self._tell()
        while True:
            watched = not wait_for_viewer or self._hub.wait(0.0)
            active = self.playing and watched
            due = self._due() if active else IDLE
            if not self._obey(max(0.0, min(due, IDLE))):
                return
            if not watched:
                self._anchor_here()
            elif self.playing and self._due() <= 0.0:
                self._advance()
            if time.monotonic() - self._told > STATE_PERIOD:
                self._tell()

    # Commands

    def _obey(self, seconds: float) -> bool:
        """Do what viewers asked for within that time; of several seeks or changes of one threshold only the last."""
        try:
            commands = [self._commands.get(timeout=seconds) if seconds else self._commands.get_nowait()]
        except queue.Empty:
            return True
        while not self._commands.empty():
            commands.append(self._commands.get())
        if None in commands:
            return False
        latest: dict[tuple[str, str], Command] = {}
        for command in filter(None, commands):
            latest.pop((command.action, command.head), None)
            latest[command.action, command.head] = command
        for command in latest.values():
            self._do(command)
        self._tell()
        return True

    def _do(self, command: Command) -> None:
        if command.action == "play":
            self._play()
        elif command.action == "pause":
            self.playing = False
        elif command.action == "speed":
            self.speed = min(max(command.value, SPEEDS[0]), SPEEDS[1])
            self._anchor_here()
        elif command.action == "seek":
            self._seek(self.recording.start_ns + round(command.value * 1e9))
        elif command.action == "step":
            self._step(command.value)
        elif self._tuning and self.perceiver.tune(command.head, command.value) and not self.playing:
            self._seek(min(self._shown_ns.values(), default=self.position_ns))

    def _play(self) -> None:
        if self._waiting is None and not self.error:
            self._open(self.recording.start_ns)
        self.playing = True
        self._anchor_here()

    def _step(self, by: float) -> None:
        """One image of each camera forwards or back."""
        self.playing = False
        if by > 0:
            for _ in self.recording.cameras:
                self._advance()
        else:
            shown_ns = min(self._shown_ns.values(), default=self.position_ns)
            before = [time_ns for camera, time_ns in self._past if time_ns < shown_ns and camera == self._first_camera]
            self._seek(max(before, default=shown_ns - WARM_UP_NS))

    @property
    def _first_camera(self) -> str:
        """The camera whose image was shown first of those that are shown."""
        return min(self._shown_ns, key=lambda camera: self._shown_ns[camera], default="")

    def _seek(self, to_ns: int) -> None:
        """Show one image of each camera at a time, with tracks that began before it; and continue from there."""
        to_ns = min(max(to_ns, self.recording.start_ns), self.recording.end_ns - 1)
        self.perceiver.reset()
        self._open(max(to_ns - WARM_UP_NS, self.recording.start_ns))
        while self._waiting is not None and self._waiting.time_ns < to_ns:
            self._advance(show=False)
        missing = set(self.recording.cameras)
        while missing and self._waiting is not None and self._waiting.time_ns < to_ns + WARM_UP_NS:
            missing.discard(self._waiting.camera)
            self._advance()
        if self._waiting is None and missing:
            self._show_last(to_ns)
        self._anchor_here()

    def _show_last(self, to_ns: int) -> None:
        """After a seek behind the last image: the last image before it."""
        before = self._safe(self.recording.pictures(max(to_ns - WARM_UP_NS, 0)))
        for picture in {picture.camera: picture for picture in before}.values():
            self._publish(picture)

    # Playing

    def _open(self, from_ns: int) -> None:
        self.error = ""
        self._fusion.reset()
        self._past.clear()
        self._pictures = self._safe(self.recording.pictures(from_ns))
        self._waiting = next(self._pictures, None)

    def _safe(self, pictures: Iterator[Picture]) -> Iterator[Picture]:
        """The pictures up to the first damage, which viewers are told of."""
        try:
            yield from pictures
        except PerceptionError as error:
            self.error = str(error)

    def _anchor_here(self) -> None:
        self._anchor = time.monotonic(), self._waiting.time_ns if self._waiting else self.position_ns
        self._walls.clear()

    def _due(self) -> float:
        """Seconds until the next image is due; 0 or less when it is."""
        if self._waiting is None:
            return 0.0
        wall, position_ns = self._anchor
        return wall + (self._waiting.time_ns - position_ns) / 1e9 / self.speed - time.monotonic()

    def _advance(self, show: bool = True) -> None:
        """Perceive and show the next image; at the end, stop or begin again."""
        picture = self._waiting
        if picture is None:
            self._end()
            return
        if show:
            self._publish(picture)
        else:
            self.perceiver(picture, self.recording.start_ns, self.recording.motion)
        self.position_ns = picture.time_ns
        self._past.append((picture.camera, picture.time_ns))
        self._waiting = next(self._pictures, None)
        if self._due() < -0.5:  # the engine is slower than the recording: continue from here without catching up
            self._anchor = time.monotonic(), picture.time_ns

    def _publish(self, picture: Picture) -> None:
        frame = self.perceiver(picture, self.recording.start_ns, self.recording.motion)
        number = self._counts[picture.camera] = self._counts.get(picture.camera, 0) + 1
        self._shown_ns[picture.camera] = picture.time_ns
        self._hub.publish(picture.camera, packed(frame, number))
        if (fused := self._fusion.update(frame)) is not None:
            self._hub.publish(FUSED, fused)
        self.show(frame)
        self._walls.append(time.monotonic())

    def _end(self) -> None:
        if self._loop and not self.error:
            self.perceiver.reset()
            self._open(self.recording.start_ns)
            self._anchor_here()
        else:
            self.playing = False
        self._tell()

    def _tell(self) -> None:
        """The state, for all viewers."""
        self._told = time.monotonic()
        span = self._walls[-1] - self._walls[0] if len(self._walls) > 1 else 0.0
        state = {
            "type": "state",
            "playing": self.playing,
            "ended": self._waiting is None,
            "seconds": (self.position_ns - self.recording.start_ns) / 1e9,
            "speed": self.speed,
            "rate": (len(self._walls) - 1) / span if span else 0.0,
            "behind": max(0.0, -self._due()) if self.playing else 0.0,
            "thresholds": self.perceiver.thresholds,
            "ignored": self.perceiver.ignored,
            "error": self.error,
        }
        self._hub.publish(" state", to_json(state))
