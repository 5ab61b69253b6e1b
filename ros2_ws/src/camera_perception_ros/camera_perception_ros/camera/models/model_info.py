"""The ModelInfo message: model, engine, device and classes, published once per change."""

from __future__ import annotations

from datetime import datetime

from builtin_interfaces.msg import Time

from camera_perception.core.model_spec import HeadSpec
from camera_perception.engines import EngineInfo
from camera_perception.engines.serving.model import Model
from camera_perception_msgs.msg import HeadInfo, ModelInfo
from camera_perception_ros.conversions.messages import TASKS


def model_info(model: Model, camera_name: str, stamp: Time) -> ModelInfo:
    """stamp is when the model became active, or changed to another input size."""
    spec, engine = model.spec, model.engine
    message = ModelInfo(camera_name=camera_name, model_name=spec.name, model_version=spec.version, license=spec.license)
    message.header.stamp = stamp
    message.model_sha256, message.engine_id = spec.onnx_sha256, engine.info.engine_id
    message.input_width, message.input_height = engine.spec.input.width, engine.spec.input.height
    message.heads = [_head_info(head) for head in spec.heads]
    message.tasks = sum({int(TASKS[head.head]) for head in spec.heads})
    _add_engine(message, engine.info)
    return message


def _add_engine(message: ModelInfo, info: EngineInfo) -> None:
    message.backend, message.backend_version = info.backend, info.backend_version
    message.precision, message.device, message.cuda_version = info.precision, info.device, info.cuda_version
    if info.built_at:
        message.build_time = Time(sec=int(datetime.fromisoformat(info.built_at).timestamp()))


def _head_info(head: HeadSpec) -> HeadInfo:
    return HeadInfo(name=head.head, kind=head.kind, class_names=list(head.classes), thresholds=[head.threshold])
