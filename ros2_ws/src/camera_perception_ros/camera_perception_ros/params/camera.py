"""The parameters of a camera node. config/perception.param.yaml of the bringup lists the same ones."""

from __future__ import annotations

from dataclasses import dataclass

from camera_perception.engines import tensorrt
from camera_perception.engines.serving.model import ModelRequest
from camera_perception_ros.params.params import ParameterError, param

BACKENDS = ("auto", "tensorrt", "openvino", "onnxruntime", "recorded")


def _threshold(what: str) -> float:
    return param(-1.0, f"Least score of {what}; negative takes the model's own.", low=-1.0, high=1.0, live=True)


@dataclass(frozen=True)
class CameraParams:
    model: str = param("", "Model folder: model.json, model.onnx and what belongs to them. Required.")
    engine: str = param(
        "auto",
        "Backend: auto (the fastest that passes the model's reference check), tensorrt, openvino, onnxruntime "
        "or recorded; :PRECISION may follow.",
    )
    build_engine: str = param(
        "never",
        "When TensorRT is asked for and no engine was built for this machine: never stops configure with the command "
        "that builds one, background builds it while the node runs.",
        choices=("never", "background"),
    )
    engine_meanwhile: str = param(
        "onnxruntime", "Backend that serves while an engine is built; empty: images are answered with ENGINE_ERROR."
    )
    gpu_letterbox: bool = param(False, "Let the GPU resize images; for cameras much larger than the network.")
    engine_threads: int = param(0, "CPU threads of the backend; 0 lets it decide.", low=0, high=256)
    profile: str = param(
        "",
        "What the network usually says, as `camera-perception profile` writes it: diagnostics warn when it says "
        "something else. Empty takes the model folder's profile.json, where there is one.",
    )
    camera_name: str = param("", "Name of this camera in messages; empty takes the namespace's last part.")

    image_topic: str = param(
        "image_raw", "Raw image topic; its compressed form is looked for at IMAGE_TOPIC/compressed."
    )
    camera_info_topic: str = param("", "CameraInfo topic; empty means camera_info beside the image topic.")
    transport: str = param(
        "auto", "Auto takes what is published and prefers raw images.", choices=("auto", "raw", "compressed")
    )
    input_reliability: str = param(
        "best_effort",
        "Best effort accepts every publisher, reliable only reliable ones.",
        choices=("best_effort", "reliable"),
    )
    input_depth: int = param(2, "Images the middleware may hold for us; the newest one wins anyway.", low=1, high=100)

    base_frame: str = param("base_link", "Frame of all metric output: x forward, y left, z up, origin on the road.")
    camera_pose: list[float] = param(
        [0.0] * 6,
        "Mounting in base_frame: x y z in metres, roll pitch yaw in radians (x forward, pitch > 0 looks down). "
        "All zero: ask TF.",
    )
    calibration_file: str = param(
        "", "Lens as camera_info YAML instead of CameraInfo; needs camera_pose. Empty: follow CameraInfo."
    )
    rectified: bool = param(False, "The images are rectified; true of itself where their topic says image_rect.")

    odometry_topic: str = param(
        "", "Odometry of base_frame: velocities are over the ground with it, else relative to the car."
    )

    depth_topic: str = param(
        "",
        "Depth image registered (aligned) to the camera, 16UC1 or 32FC1: objects that it sees get their range from it. "
        "Empty: none.",
    )
    lidar_topic: str = param(
        "", "PointCloud2 of a lidar that TF places on the car: objects get their range from its points. Empty: none."
    )

    objects_threshold: float = _threshold("an object")
    lanes_threshold: float = _threshold("a lane line")
    drivable_threshold: float = _threshold("drivable road, for models that give scores")
    semantic_threshold: float = _threshold("a class in the semantic map, for models that give scores")
    scene_threshold: float = _threshold("a scene attribute")

    max_input_age: float = param(
        0.5,
        "Seconds after which an image counts as stale when its processing begins; 0 never.",
        low=0.0,
        high=60.0,
        live=True,
    )
    silence: float = param(
        2.0, "Seconds without an image before diagnostics and the log say why.", low=0.1, high=600.0, live=True
    )
    watched_fusion: str = param(
        "", "Fusion node, such as /fusion, about which diagnostics say when it falls silent; empty watches none."
    )
    jpeg_quality: int = param(80, "Quality of the compressed overlay.", low=1, high=100, live=True)
    autostart: bool = param(
        False, "Configure and activate without being asked; false where a manager does it.", read_only=True
    )

    def check(self) -> None:
        for name, backend in (("engine", self.engine), ("engine_meanwhile", self.engine_meanwhile or "auto")):
            if backend.partition(":")[0] not in BACKENDS:
                raise ParameterError(f"parameter '{name}' is '{backend}': expected one of {', '.join(BACKENDS)}")
        if len(self.camera_pose) != 6:
            raise ParameterError(
                f"parameter 'camera_pose' has {len(self.camera_pose)} numbers: expected x y z roll pitch yaw"
            )
        if self.calibration_file and not any(self.camera_pose):
            raise ParameterError("parameter 'calibration_file' needs 'camera_pose': CameraInfo would name the frame")
        if any(self.camera_pose) and self.camera_pose[2] <= 0.0:
            raise ParameterError("parameter 'camera_pose' puts the camera at or under the road: z must be > 0")

    @property
    def choice(self) -> ModelRequest:
        """What the node runs. To build engines in the background, auto means TensorRT where that is installed."""
        backend = self.engine
        if self.build_engine == "background" and backend == "auto" and tensorrt.available() is None:
            backend = "tensorrt"
        return ModelRequest(self.model, backend, self.engine_threads, self.gpu_letterbox)

    @property
    def thresholds(self) -> dict[str, float]:
        """Head: least score, for the heads whose threshold was given."""
        heads = ("objects", "lanes", "drivable", "semantic", "scene")
        values = {head: getattr(self, f"{head}_threshold") for head in heads}
        return {head: value for head, value in values.items() if value >= 0.0}

    @property
    def without_distortion(self) -> bool:
        """Whether P describes the images, and K and D do not."""
        return self.rectified or "image_rect" in self.image_topic.rpartition("/")[2]

    @property
    def info_topic(self) -> str:
        """The CameraInfo topic that belongs to the image topic."""
        return self.camera_info_topic or "/".join([*self.image_topic.split("/")[:-1], "camera_info"])
