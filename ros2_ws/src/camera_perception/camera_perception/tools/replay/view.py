"""How the images of a source are read, what of them is left out, and where its camera is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.geometry.camera_views import turned
from camera_perception.image.reader import ImageReader
from camera_perception.image.sample_range import AUTO
from camera_perception.image.turn import Turn
from camera_perception.lanes.ignored_region import IgnoredRegion
from camera_perception.lanes.learned_region import LearnedRegion, region_of


@dataclass(frozen=True)
class View:
    """The same for every camera that is shown.

    turn     of every image, before the network
    range16  of 16-bit samples, see SampleRange
    ignored  regions in which nothing is reported, see region_of
    lens     calibration, in place of the recording's CameraInfo
    mount    x y z roll pitch yaw in base_link, metres and radians, of images as they arrive
    """

    turn: Turn = field(default_factory=Turn)
    range16: str = AUTO
    ignored: Sequence[str] = ()
    lens: Camera | None = None
    mount: tuple[float, ...] | None = None

    def reader(self) -> ImageReader:
        """A new one for each camera: it remembers the range of its samples."""
        return ImageReader(self.turn, self.range16)

    def region(self) -> IgnoredRegion | LearnedRegion | None:
        """A new one for each camera: it may learn."""
        return region_of(self.ignored)

    def camera(self) -> Camera | None:
        """The calibration of a camera that brings none, for images as they are turned."""
        if self.lens is None:
            return None
        pose = optical_from_rpy(self.mount[:3], self.mount[3:]) if self.mount else self.lens.base_from_camera
        return turned(replace(self.lens, base_from_camera=pose), self.turn.degrees, self.turn.mirror)
