"""The parameters of a camera node; config/perception.param.yaml of the bringup lists them too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from camera_perception.core.errors import BadImage
from camera_perception.engines import backend_module
from camera_perception.engines.select import GPU_BACKENDS
from camera_perception.engines.serving.model import ModelRequest
from camera_perception.image.sample_range import SampleRange
from camera_perception.image.turn import Turn
from camera_perception.lanes.ignored_region import IgnoredRegion
from camera_perception.lanes.learned_region import LearnedRegion, region_of
from camera_perception_ros.params import adapters
from camera_perception_ros.params.lock import LOCK
from camera_perception_ros.params.params import ParameterError, param

BACKENDS = ("auto", "tensorrt", "tensorrt_rtx", "openvino", "onnxruntime", "recorded")


def _threshold(what: str) -> Any:
    description = f"Minimum score of {what}; negative: use the model's default."
    return param(-1.0, description, low=-1.0, high=1.0, live=True)


@dataclass(frozen=True)
class CameraParams:
    model: str = param("", "Model folder with model.json and model.onnx. Required.")
    engine: str = param(
        "auto",
        "Backend: auto (the fastest that passes the model's reference check), tensorrt, tensorrt_rtx, openvino, "
        "onnxruntime or recorded, optionally with :PRECISION.",
    )
    build_engine: str = param(
        "never",
        "What to do without a TensorRT engine for this machine: with `never`, configure fails and the log shows the "
        "build command; with `background`, the engine is built while the node runs.",
        choices=("never", "background"),
    )
    fallback_engine: str = param(
        "onnxruntime",
        "Backend used while an engine is built; empty: frames carry ENGINE_ERROR until it is ready.",
        old_name="engine_meanwhile",
    )
    gpu_letterbox: bool = param(False, "Resize images on the GPU; for images much larger than the network's input.")
    fit_camera: bool = param(
        True,
        "Use the input size of the model folder (other_sizes in model.json) in which the camera's images are largest; "
        "cameras that share an engine use that of the folder.",
    )
    engine_threads: int = param(0, "CPU threads of the backend; 0: the backend decides.", low=0, high=256)
    load_timeout: float = param(
        300.0,
        "Seconds that a model may take to open; after that it is abandoned, and the current one stays.",
        low=1.0,
        high=3600.0,
    )
    profile: str = param(
        "",
        "Drift profile (written by `camera-perception profile`): diagnostics warn when the distribution of the "
        "network's outputs differs from it. Empty: profile.json of the model folder, if there is one.",
    )
    trusted_keys: list[str] = param(
        [""],
        "Public keys, as 64 hex digits or .pub files of `camera-perception sign-model`: only models that one of them "
        "has signed are loaded, and only engines that this user built from them. Empty: signatures are not checked.",
        read_only=True,
    )
    model_root: str = param(
        "",
        "Models are loaded only from folders below this one. Empty: load_model takes those beside the first model.",
        read_only=True,
    )
    load_service: bool = param(True, "Offer the service ~/load_model.", read_only=True)
    lock_parameters: bool = LOCK
    camera_name: str = param("", "Name of this camera in messages; empty: last part of the namespace.")

    image_topic: str = param("image_raw", "Raw image topic; compressed images are expected on IMAGE_TOPIC/compressed.")
    camera_info_topic: str = param("", "CameraInfo topic; empty: camera_info in the namespace of the image topic.")
    transport: str = param(
        "auto",
        "Image transport; auto uses what is published and prefers raw images, then compressed ones. Video (ffmpeg and "
        "foxglove: H.264, H.265) is expected on IMAGE_TOPIC/ffmpeg or /foxglove and needs PyAV.",
        choices=("auto", "raw", "compressed", "ffmpeg", "foxglove"),
    )
    input_reliability: str = param(
        "best_effort",
        "QoS of the image subscription; best_effort matches every publisher, reliable only reliable ones.",
        choices=("best_effort", "reliable"),
    )
    input_depth: int = param(
        2, "Queue depth of the image subscription; only the newest image is processed.", low=1, high=100
    )

    identical_images: str = param(
        "flag",
        "Images that repeat bit by bit: flag them with IMAGE_FROZEN and give no metres, as no working sensor sends "
        "them; or allow them, for simulators without image noise.",
        choices=("flag", "allow"),
        live=True,
    )
    max_megapixels: int = param(
        64, "Images with more pixels are refused before they are decoded.", low=1, high=1000, live=True
    )

    rotate: int = param(
        0,
        "Degrees by which images are turned clockwise before the network: 0, 90, 180 or 270. Pixels of all outputs are "
        "those of turned images; CameraInfo and the camera's pose stay those of images as they arrive.",
        low=0,
        high=270,
    )
    mirror: bool = param(False, "Swap left and right of images, before turning them.")
    range16: str = param(
        "auto",
        "Samples of 16-bit images that become black and white: LOW,HIGH such as 0,4095 for 12 bits; full; or auto: "
        "from percentiles where images use less than a quarter of the range.",
    )
    ignore: list[str] = param(
        ["auto"],
        "Regions of the turned image in which nothing is reported, such as the own bonnet: PNG files in which they are "
        "white, polygons 'x,y x,y x,y' in fractions of width and height, or auto: the own bonnet, learned from what "
        "never moves; objects in it are still reported. Empty: nothing is ignored.",
    )

    base_frame: str = param("base_link", "Frame of all metric outputs: x forward, y left, z up, origin on the road.")
    camera_pose: list[float] = param(
        [0.0] * 6,
        "Pose of the camera in base_frame: x y z in metres, roll pitch yaw in radians (x forward, pitch > 0 looks "
        "down). All zero: use TF.",
    )
    calibration_file: str = param(
        "", "Intrinsics as a camera_info YAML file, replaces CameraInfo; needs camera_pose. Empty: use CameraInfo."
    )
    rectified: bool = param(
        False, "The images are rectified; implied when the last part of the image topic contains image_rect."
    )

    odometry_topic: str = param(
        "", "Odometry of base_frame: makes velocities relative to the ground. Empty: relative to the car."
    )

    depth_topic: str = param(
        "",
        "Depth image registered to the camera, 16UC1 or 32FC1: gives the range of the objects it covers. Empty: none.",
    )
    lidar_topic: str = param(
        "", "PointCloud2 of a lidar whose frame is in TF: its points give the range of objects. Empty: none."
    )

    objects_threshold: float = _threshold("objects")
    lanes_threshold: float = _threshold("lane lines")
    drivable_threshold: float = _threshold("drivable area, for models that output scores")
    semantic_threshold: float = _threshold("semantic classes, for models that output scores")
    scene_threshold: float = _threshold("scene attributes")

    max_input_age: float = param(
        0.5,
        "Age in seconds above which an image counts as stale when its processing starts; 0: never.",
        low=0.0,
        high=60.0,
        live=True,
    )
    silence: float = param(
        2.0, "Seconds without an image before diagnostics and the log give the reason.", low=0.1, high=600.0, live=True
    )
    watched_fusion: str = param("", "Fusion node, such as /fusion, whose silence diagnostics report. Empty: none.")
    adapters: list[str] = param([""], adapters.DESCRIPTION)
    traffic_light_group: int = param(
        0,
        "Id in the map of the traffic light group that governs the car's lane: the autoware and tier4 adapters publish "
        "the state of the lights of the own lane under it. 0: unknown, nothing is published.",
        low=0,
        high=2**62,
        live=True,
    )
    jpeg_quality: int = param(80, "JPEG quality of the compressed overlay.", low=1, high=100, live=True)
    autostart: bool = param(
        False, "Configure and activate on start-up; false when a lifecycle manager is used.", read_only=True
    )

    def check(self) -> None:
        for name, backend in (("engine", self.engine), ("fallback_engine", self.fallback_engine or "auto")):
            if backend.partition(":")[0] not in BACKENDS:
                raise ParameterError(f"parameter '{name}' is '{backend}': expected one of {', '.join(BACKENDS)}")
        try:
            self.turn, SampleRange(self.range16), self.ignored_region
        except BadImage as error:
            raise ParameterError(f"parameter rotate, range16 or ignore: {error}") from error
        adapters.chosen(self.adapters)
        if len(self.camera_pose) != 6:
            raise ParameterError(
                f"parameter 'camera_pose' has {len(self.camera_pose)} numbers: expected x y z roll pitch yaw"
            )
        if self.calibration_file and not any(self.camera_pose):
            raise ParameterError(
                "parameter 'calibration_file' needs 'camera_pose': a file does not name the camera's frame in TF"
            )
        if any(self.camera_pose) and self.camera_pose[2] <= 0.0:
            raise ParameterError(
                "parameter 'camera_pose' puts the camera at or under the road: z must be greater than 0"
            )

    @property
    def keys(self) -> tuple[str, ...]:
        """The trusted keys that are not empty."""
        return tuple(filter(None, self.trusted_keys))

    @property
    def turn(self) -> Turn:
        """What is done to images before the network."""
        return Turn(self.rotate, self.mirror)

    @property
    def ignored_region(self) -> IgnoredRegion | LearnedRegion | None:
        """The part of the image in which nothing is reported."""
        return region_of(self.ignore)

    @property
    def model_request(self) -> ModelRequest:
        """The model and backend to run. With background builds, auto means TensorRT where that is installed."""
        backend = self.engine
        if self.build_engine == "background" and backend == "auto":
            usable = (name for name in GPU_BACKENDS if backend_module(name).available() is None)
            backend = next(usable, backend)
        return ModelRequest(self.model, backend, self.engine_threads, self.gpu_letterbox, self.keys, self.fit_camera)

    @property
    def thresholds(self) -> dict[str, float]:
        """Minimum scores by head, for the heads whose threshold is set."""
        heads = ("objects", "lanes", "drivable", "semantic", "scene")
        values = {head: getattr(self, f"{head}_threshold") for head in heads}
        return {head: value for head, value in values.items() if value >= 0.0}

    @property
    def without_distortion(self) -> bool:
        """Whether the images are rectified: P describes them, instead of K and D."""
        return self.rectified or "image_rect" in self.image_topic.rpartition("/")[2]

    @property
    def info_topic(self) -> str:
        """The CameraInfo topic of the image topic."""
        return self.camera_info_topic or "/".join([*self.image_topic.split("/")[:-1], "camera_info"])
