"""The model folder: the only interface between training and the vehicle.

It holds model.onnx, model.json, reference.npz and MODEL_CARD.md. This module reads model.json and checks it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from camera_perception.core.documents.external_weights import external_weights
from camera_perception.core.documents.kind import DocumentKind
from camera_perception.core.documents.parsing import Malformed
from camera_perception.core.errors import ModelError

SCHEMA = "camera_perception.core", "model.schema.json"
MODEL_JSON = DocumentKind("a usable model.json", "json", SCHEMA, ModelError, "correct it or export the model again")
MOST_INPUT_PIXELS = 1 << 26  # of a whole batch


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The network's input; model.schema.json describes each field."""

    name: str
    width: int
    height: int
    batch: int = 1
    layout: str = "nhwc"
    dtype: str = "uint8"
    color: str = "bgr"
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    align: str = "center"
    pad: int = 114

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in network pixels."""
        return self.height, self.width

    @property
    def shape(self) -> tuple[int, int, int, int]:
        tail = (3, self.height, self.width) if self.layout == "nchw" else (self.height, self.width, 3)
        return (self.batch, *tail)


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """One network output: `kind` names its decoder, `tensors` maps tensor roles to names in the ONNX file."""

    head: str
    kind: str
    tensors: dict[str, str]
    classes: tuple[str, ...] = ()
    colors: tuple[tuple[int, int, int], ...] = ()
    threshold: float = 0.4
    nms_iou: float | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model.json that has passed all checks.

    folder       of the model files
    precision    of the numbers inside the ONNX file
    reference    path of reference.npz; None when the folder has none
    tracker      settings of TrackerConfig that differ from the defaults; localization: of LocalizationConfig
    signed_by    public key, 64 hex digits, of the signature that was checked; empty where none was asked for
    other_sizes  subfolders WIDTHxHEIGHT with the same network at other input sizes: see load_other_sizes
    classes      names of the object head; empty without one
    light_class  index of the traffic light class; -1 without one. The option light_class may give it another name
    light_states names of the traffic light states; empty when the model reports none
    """

    folder: Path
    name: str
    version: str
    license: str
    onnx_file: str
    onnx_sha256: str
    input: InputSpec
    heads: tuple[HeadSpec, ...]
    precision: str = "fp32"
    description: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    tracker: dict[str, Any] = field(default_factory=dict)
    localization: dict[str, Any] = field(default_factory=dict)
    signed_by: str = ""
    other_sizes: tuple[str, ...] = ()
    classes: tuple[str, ...] = field(init=False, repr=False, compare=False)
    light_class: int = field(init=False, repr=False, compare=False)
    light_states: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        objects = self.head("objects")
        classes = objects.classes if objects else ()
        object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "light_class", _light_class(objects, classes))
        object.__setattr__(self, "light_states", tuple(objects.options.get("light_states", ())) if objects else ())

    @property
    def onnx_path(self) -> Path:
        return self.folder / self.onnx_file

    @property
    def reference(self) -> Path | None:
        path = self.folder / "reference.npz"
        return path if path.is_file() else None

    def head(self, name: str) -> HeadSpec | None:
        """The first head with this name, or None."""
        for head in self.heads:
            if head.head == name:
                return head
        return None


def _light_class(objects: HeadSpec | None, classes: tuple[str, ...]) -> int:
    name = objects.options.get("light_class", "traffic light") if objects else "traffic light"
    return classes.index(name) if name in classes else -1


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def onnx_sha256(path: Path) -> str:
    """Hash of an ONNX file; of the file and its weights where it keeps them in other files. ModelError names a file."""
    try:
        weights = external_weights(path)
        hashes = {name: sha256_of(path.parent / name) for name in (path.name, *weights)}
    except (Malformed, OSError) as error:
        raise ModelError(
            f"{path} or its weights cannot be read ({error}): the file was changed or only partly copied; "
            "copy or export the model again"
        ) from error
    if not weights:
        return hashes[path.name]
    return hashlib.sha256("".join(f"{name}:{digest}\n" for name, digest in hashes.items()).encode()).hexdigest()


def load_spec(folder: Path | str, *, check_hash: bool = True) -> ModelSpec:
    """Read and check a model folder; ModelError names the wrong file or field and what to do."""
    given = Path(folder)
    folder = _folder_of(given)
    spec = spec_from_json(read_json(folder), folder)
    if given.suffix == ".onnx" and given.is_file() and not spec.onnx_path.samefile(given):
        raise ModelError(
            f"{given} is not the network of {folder / 'model.json'}, which names {spec.onnx_file}: give the folder to "
            "run that one, or make a folder of this one with `camera-perception inspect-onnx FILE.onnx --out FOLDER`"
        )
    if not spec.onnx_path.is_file():
        raise ModelError(f"{spec.onnx_path} is missing: copy the whole model folder, or export the model again")
    if check_hash and (actual := onnx_sha256(spec.onnx_path)) != spec.onnx_sha256:
        raise ModelError(
            f"{_onnx_files(spec.onnx_path)} has sha256 {actual[:12]}..., model.json expects "
            f"{spec.onnx_sha256[:12]}...: the file was changed or only partly copied; copy or export the model again"
        )
    return spec


def load_other_sizes(spec: ModelSpec) -> tuple[ModelSpec, ...]:
    """The network at the model's other input sizes, with the settings of the model, in the order of model.json.

    ModelError when a folder is missing or holds another network.
    """
    return tuple(_other_size(spec, name) for name in spec.other_sizes)


def _other_size(spec: ModelSpec, name: str) -> ModelSpec:
    folder, listed = spec.folder / name, f"other_sizes of {spec.folder / 'model.json'} lists {name}"
    if not (folder / "model.json").is_file():
        raise ModelError(f"{listed}, but {folder} holds no model: copy the whole model folder, or remove the entry")
    other = load_spec(folder)
    width, height = map(int, name.split("x"))
    if other.input != replace(spec.input, width=width, height=height) or _network(other) != _network(spec):
        raise ModelError(
            f"{listed}, but {folder} holds another network: its model.json may differ in the input size and in nothing "
            "else of name, version, input, heads, tensors and classes; export it again"
        )
    settings: dict[str, Any] = {"heads": spec.heads, "tracker": spec.tracker, "localization": spec.localization}
    return replace(other, **settings, signed_by=spec.signed_by, other_sizes=())


def _network(spec: ModelSpec) -> tuple[object, ...]:
    """What has to be the same at every input size; thresholds and the like are taken from the model folder."""
    return spec.name, spec.version, [(head.head, head.kind, head.tensors, head.classes) for head in spec.heads]


def _onnx_files(path: Path) -> str:
    """The file, and the files of its weights, for a message."""
    return " with ".join(map(str, (path, *external_weights(path))))


def _folder_of(path: Path) -> Path:
    """The folder of a model, also when its model.onnx or model.json is named; ModelError for another file."""
    if not path.is_file():
        return path
    if (path.parent / "model.json").is_file() and (path.suffix == ".onnx" or path.name == "model.json"):
        return path.parent
    raise ModelError(
        f"{path} is a file: give a folder with model.json and model.onnx; "
        f"`camera-perception inspect-onnx FILE.onnx --out FOLDER` makes one of an ONNX file"
    )


def read_json(folder: Path) -> dict[str, Any]:
    """The raw model.json of a folder."""
    path = folder / "model.json"
    if not folder.is_dir():
        raise ModelError(f"model folder {folder} does not exist: give the folder that holds model.json and model.onnx")
    if not path.is_file():
        raise ModelError(f"{path} is missing: write one with `camera-perception inspect-onnx FILE.onnx`")
    data: dict[str, Any] = MODEL_JSON.parsed(path)
    return data


def spec_from_json(data: Any, folder: Path) -> ModelSpec:
    """Check raw JSON against the schema and convert it; ModelError names the wrong field."""
    check_schema(data, folder / "model.json")
    values = dict(data["input"])
    pixels = values["width"] * values["height"] * values.get("batch", 1)
    if pixels > MOST_INPUT_PIXELS:
        limit = f"more than {MOST_INPUT_PIXELS / 1e6:.0f} megapixels"
        raise ModelError(f"{folder / 'model.json'}: input: a batch has {limit}: lower width, height or batch")
    for name in ("mean", "std"):
        if name in values:
            values[name] = tuple(values[name])
    return ModelSpec(
        folder=folder,
        name=data["name"],
        version=data["version"],
        license=data["license"],
        onnx_file=data["onnx"]["file"],
        onnx_sha256=data["onnx"]["sha256"],
        input=InputSpec(**values),
        heads=tuple(_head(output, folder) for output in data["outputs"]),
        precision=data.get("precision", "fp32"),
        description=data.get("description", ""),
        training=data.get("training", {}),
        metrics=data.get("metrics", {}),
        tracker=data.get("tracker", {}),
        localization=data.get("localization", {}),
        other_sizes=tuple(data.get("other_sizes", ())),
    )


def _head(data: dict[str, Any], folder: Path) -> HeadSpec:
    colors = tuple(tuple(color) for color in data.get("colors", ()))
    classes = tuple(data.get("classes", ()))
    if colors and len(colors) != len(classes):
        counts = f"{len(classes)} classes but {len(colors)} colors"
        raise ModelError(f"{folder / 'model.json'}: head '{data['head']}' has {counts}")
    return HeadSpec(**{**data, "classes": classes, "colors": colors})


def check_schema(data: Any, path: Path) -> None:
    """ModelError for the first field that does not match the schema."""
    MODEL_JSON.check(data, path)
