"""The library in five lines: open a model, perceive an image, draw the result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from camera_perception.core.errors import BadImage
from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.core.types import Frame
from camera_perception.core.types import Perception as Result
from camera_perception.draw import overlay
from camera_perception.engines import Engine
from camera_perception.engines.select import load_engine
from camera_perception.engines.serving.fitting import load_fitting
from camera_perception.geometry.camera import Camera
from camera_perception.geometry.camera_views import turned
from camera_perception.image.files import decode_file
from camera_perception.image.turn import Turn
from camera_perception.lanes.ignored_region import IgnoredRegion
from camera_perception.lanes.learned_region import LearnedRegion, region_of
from camera_perception.pipeline import Pipeline
from camera_perception.tools.models.on_the_fly import folder_of


class Perception:
    """A model that perceives one camera's images, one after the other.

    perception = Perception.load("perception_models/zoo/demo")
    seen = perception("drive/000123.jpg")
    print(perception.names(seen), seen.objects.boxes)
    """

    def __init__(
        self,
        spec: ModelSpec,
        engine: Engine,
        camera: Camera | None = None,
        turn: Turn | None = None,
        ignored: IgnoredRegion | LearnedRegion | None = None,
    ) -> None:
        self.spec, self._engine, self._turn = spec, engine, turn or Turn()
        camera = camera and turned(camera, self._turn.degrees, self._turn.mirror)
        self._pipeline = Pipeline(spec, engine, camera, ignored=ignored)
        self._next_ns = 0

    @classmethod
    def load(
        cls,
        model: Path | str,
        camera: Camera | None = None,
        *,
        engine: str = "auto",
        threads: int = 0,
        rotate: int = 0,
        mirror: bool = False,
        ignore: Sequence[str] = (),
        fit: bool = True,
    ) -> Perception:
        """Open a model folder, or an .onnx file that a decoder fits.

        camera   with its pose on the car, for results in metres
        engine   backend; auto: the fastest that reproduces the model's reference
        threads  CPU threads; 0: the engine decides
        rotate   turns every image clockwise by 0, 90, 180 or 270 degrees; results are in turned images, the camera is
                 that of images as they arrive
        mirror   swaps left and right of every image, before turning
        ignore   regions in which nothing is reported: PNG files in which they are white, or polygons "x,y x,y x,y" in
                 fractions of width and height, or "auto": the own bonnet, learned from what never moves
        fit      use the input size of the model that shows each image largest, where its folder has several
        """
        spec, turn, ignored = load_spec(folder_of(Path(model))), Turn(rotate, mirror), region_of(ignore)
        load = load_fitting if fit else load_engine
        return cls(spec, load(spec, engine, threads=threads), camera, turn, ignored)

    def __call__(self, image: np.ndarray | Path | str, stamp: float | None = None) -> Result:
        """What is in an image; objects and lanes are tracked from image to image.

        image  (H, W, 3) uint8 BGR, or a file
        stamp  seconds; default: a tenth after the last image
        """
        pixels = image if isinstance(image, np.ndarray) else _read(Path(image))
        stamp_ns = self._next_ns if stamp is None else round(stamp * 1e9)
        self._next_ns = stamp_ns + 10**8
        return self._pipeline.run(Frame(self._turn(pixels), stamp_ns))

    def names(self, result: Result) -> list[str]:
        """The class name of each object."""
        return [self.spec.classes[index] for index in result.objects.classes]

    def draw(self, result: Result) -> np.ndarray:
        """(H, W, 3) uint8 BGR: the image with everything that was found."""
        return overlay(result.frame.image, result, self.spec)

    def reset(self) -> None:
        """Forget tracks: before an image that does not follow the last one."""
        self._pipeline.reset()

    def close(self) -> None:
        self._engine.close()

    def __enter__(self) -> Perception:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _read(path: Path) -> np.ndarray:
    try:
        return decode_file(path.read_bytes())
    except (BadImage, OSError) as error:
        hint = "give a picture, or an array (H, W, 3) in BGR"
        raise BadImage(f"{path} is not an image that OpenCV can read ({error}): {hint}") from error
