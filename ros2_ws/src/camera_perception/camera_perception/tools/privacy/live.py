"""Covering while recording: what was found is held for a while; what will be found is not known yet."""

from __future__ import annotations

from camera_perception.core.errors import BadImage
from camera_perception.core.model_spec import load_spec
from camera_perception.engines.select import load_engine
from camera_perception.io.ros_types import COMPRESSED_IMAGE, IMAGE
from camera_perception.tools.privacy.finder import Finder
from camera_perception.tools.privacy.picture import read
from camera_perception.tools.privacy.regions import Settings
from camera_perception.tools.privacy.temporal import Hold, Look, regions_of


class LiveCover:
    """Used by one thread, images of each topic in their order."""

    def __init__(self, finder: Finder, settings: Settings | None = None) -> None:
        self._finder, self._settings = finder, settings or Settings()
        self._holds: dict[str, Hold] = {}
        self.left_out = 0  # images that could not be decoded

    def __call__(self, topic: str, kind: str, data: bytes) -> bytes | None:
        """A serialised message as it may be recorded; None for an image that cannot be looked at."""
        if kind not in (IMAGE, COMPRESSED_IMAGE):
            return data
        recorded = read(kind, data)
        try:
            image = recorded.pixels()
        except BadImage:
            self.left_out += 1
            return None
        look = Look(recorded.stamp_ns, image.shape[:2], self._finder(image))
        hold = self._holds.setdefault(topic, Hold(self._finder.names, self._settings.hold))
        regions = regions_of(look, [hold.update(look)], self._finder.names, self._settings)
        return recorded.covered(regions, self._settings) if regions else data

    def close(self) -> None:
        self._finder.close()


def open_live_cover(folder: str, threads: int = 0) -> LiveCover:
    """With the model of a folder. ModelError or EngineError says what to do."""
    spec = load_spec(folder)
    engine = load_engine(spec, "auto", threads=threads) if threads else load_engine(spec, "auto")
    return LiveCover(Finder(spec, engine))
