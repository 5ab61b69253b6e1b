"""Manifests: which engine fits, which is refused before it is deserialised, and with which message."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace

import pytest
from fake_tensorrt import VERSIONS, install

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines import tensorrt
from camera_perception.engines.build.build import build_engine
from camera_perception.engines.cuda import runtime
from camera_perception.engines.tensorrt.errors import EXPLANATIONS, explain
from camera_perception.engines.tensorrt.manifest import (
    BuildOptions,
    EngineKey,
    Machine,
    Manifest,
    read_manifest,
)
from camera_perception.engines.tensorrt.store import header_hint, matching, store

ORIN = Machine("10.3.0", "NVIDIA Orin", "8.7", 12)
KEY = EngineKey("m", "1.0", "a" * 64, "b" * 64, "fp16", 1, 640, 384, ORIN)
MANIFEST = Manifest(KEY, "m.engine", "c" * 64, 1, [], [], {}, {}, {}, 2.0, 1.0, "2026-01-01T00:00:00+00:00")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("camera_perception.engines.select.TIMED_RUNS", 3)
    return tmp_path / "camera_perception" / "engines"


@pytest.fixture(scope="module")
def spec(tiny_model):
    return load_spec(tiny_model)


@pytest.mark.parametrize("field", [name for name in asdict(KEY) if name not in ("machine", "options")])
def test_every_field_makes_another_engine(field):
    value = getattr(KEY, field)
    other = replace(KEY, **{field: value + 1 if isinstance(value, int) else value[::-1] + "x"})
    assert other.digest != KEY.digest
    assert other.stem != KEY.stem


@pytest.mark.parametrize("field", asdict(ORIN))
def test_every_part_of_the_machine_makes_another_engine(field):
    value = getattr(ORIN, field)
    machine = replace(ORIN, **{field: value + 1 if isinstance(value, int) else value + "9"})
    assert replace(KEY, machine=machine).digest != KEY.digest
    assert KEY.differences(replace(KEY, machine=machine)) != []


def test_build_options_make_another_file_but_not_a_mismatch():
    other = replace(KEY, options=BuildOptions(optimization_level=5))
    assert other.digest != KEY.digest
    assert KEY.differences(other) == []


def test_file_names_are_readable():
    assert KEY.stem == f"m-1.0_fp16_b1_640x384_orin_sm87_trt10.3.0_{KEY.digest[:12]}"


def test_a_manifest_survives_writing_and_reading(tmp_path):
    path = store(tmp_path, MANIFEST, b"x")
    assert read_manifest(path) == MANIFEST
    assert [manifest for _, manifest in matching(tmp_path, KEY)] == [MANIFEST]


def test_a_new_engine_replaces_the_old_one(tmp_path):
    store(tmp_path, MANIFEST, b"x")
    store(tmp_path, replace(MANIFEST, engine="n.engine"), b"y")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([f"{KEY.stem}.json", "n.engine", "n.layers.json"])


@pytest.mark.parametrize(
    "edit",
    [
        lambda data: data | {"digest": "0" * 64},
        lambda data: data | {"schema": 99},
        lambda data: data | {"key": data["key"] | {"precision": "int8"}},
        lambda data: {name: value for name, value in data.items() if name != "sha256"},
        lambda data: data | {"engine": "../../elsewhere.engine"},
        lambda data: [],
    ],
)
def test_an_edited_manifest_is_refused(tmp_path, edit):
    path = store(tmp_path, MANIFEST, b"x")
    path.write_text(json.dumps(edit(json.loads(path.read_text()))))
    with pytest.raises(EngineError, match="not a usable engine manifest"):
        read_manifest(path)
    assert matching(tmp_path, KEY) == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ", not a TensorRT file"),
        (b"PK" + bytes(40), ", not a TensorRT file"),
        (b"ftrt" + bytes(20) + bytes([10, 3, 0, 0]), ""),
        (b"ftrt" + bytes(20) + bytes([8, 6, 2, 0]), ", written by TensorRT 8.6.2"),
    ],
)
def test_the_header_hints_at_the_version_that_wrote_it(data, expected):
    assert header_hint(data, "10.3.0") == expected


# Engines that no longer fit


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda fake: setattr(fake.cuda, "gpu", "NVIDIA Thor"), "the GPU NVIDIA Orin, this machine has NVIDIA Thor"),
        (lambda fake: setattr(fake.cuda, "capability", (11, 0)), "compute capability 8.7, this machine has 11.0"),
        (lambda fake: setattr(fake.cuda, "driver", 13020), "a CUDA 12 driver, this machine has CUDA 13"),
        (lambda fake: setattr(fake.module, "__version__", "10.16.2"), "TensorRT 10.3.0, this machine has 10.16.2"),
    ],
)
def test_the_error_on_another_machine_has_the_build_command(monkeypatch, spec, change, expected):
    fake = install(monkeypatch)
    build_engine(spec)
    change(fake)
    before = fake.deserialised
    with pytest.raises(EngineError) as caught:
        tensorrt.load(spec)
    assert expected in str(caught.value)
    assert f"`camera-perception build-engine {spec.folder}`" in str(caught.value)
    assert fake.deserialised == before


def test_the_error_for_a_changed_model_has_the_build_command(monkeypatch, spec, tmp_path):
    fake = install(monkeypatch)
    shutil.copytree(spec.folder, tmp_path / "m")
    build_engine(load_spec(tmp_path / "m"))
    path = tmp_path / "m" / "model.json"
    path.write_text(path.read_text().replace('"threshold": 0.5', '"threshold": 0.6'))
    before = fake.deserialised
    with pytest.raises(EngineError, match="the nearest was built for another model.json"):
        tensorrt.load(load_spec(tmp_path / "m"))
    assert fake.deserialised == before


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda data: data[: len(data) // 2], "bytes): build one with `camera-perception build-engine"),
        (lambda data: b"", "(0 of "),
        (lambda data: bytes(len(data)), "other contents, not a TensorRT file"),
        (lambda data: data[:24] + bytes([8, 6, 2]) + data[27:], "other contents, written by TensorRT 8.6.2"),
        (lambda data: data[:-1] + b"!", "(other contents): build one with"),
    ],
    ids=["truncated", "empty", "garbage", "version", "one byte"],
)
def test_a_changed_file_is_never_deserialised(monkeypatch, spec, folder, damage, expected):
    fake = install(monkeypatch)
    path = folder / build_engine(spec).manifest.engine
    path.write_bytes(damage(path.read_bytes()))
    before = fake.deserialised
    with pytest.raises(EngineError) as caught:
        tensorrt.load(spec)
    assert expected in str(caught.value)
    assert fake.deserialised == before


def test_an_engine_without_manifest_is_never_deserialised(monkeypatch, spec):
    fake = install(monkeypatch)
    build_engine(spec).path.unlink()
    before = fake.deserialised
    with pytest.raises(EngineError, match="no TensorRT engine of model 'tiny'"):
        tensorrt.load(spec)
    assert fake.deserialised == before


def test_a_missing_engine_file_is_explained(monkeypatch, spec, folder):
    install(monkeypatch)
    (folder / build_engine(spec).manifest.engine).unlink()
    with pytest.raises(EngineError, match=r"cannot be read \(No such file or directory\): build one with"):
        tensorrt.load(spec)


# Plans that match their manifest and that TensorRT refuses, with its own messages


def refusal(monkeypatch, spec, change, version="10.3.0"):
    fake = install(monkeypatch, version)
    from camera_perception.engines.tensorrt.builder import build_plan

    plan = build_plan(spec, BuildOptions(), lambda phase, share: True).data
    changed = change(fake, plan)
    plan = plan if changed is None else changed
    with pytest.raises(EngineError) as caught:
        tensorrt.open_plan(plan, spec, runtime.use_device())
    assert fake.cuda.leaks() == {}
    return str(caught.value)


def set_version(fake, plan):
    fake.version = "10.16.2"


def set_gpu(fake, plan):
    fake.cuda.capability = (7, 5)


def take_driver(fake, plan):
    fake.no_driver = True


def fill_memory(fake, plan):
    fake.no_context = True


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (set_gpu, "built for a GPU of compute capability 8.7, this one has 7.5: build it here with `camera-perception"),
        (set_version, "written by another TensorRT (format 239, this one reads 237): build it again with `camera-"),
        (lambda fake, plan: plan[:-10], "it is cut off: copy it again, or build it again with"),
        (lambda fake, plan: b"garbage" + plan, "it is not a TensorRT engine: build one with"),
        (lambda fake, plan: b"", "it is empty: build it again with `camera-perception build-engine"),
        (lambda fake, plan: b"vtrt" + plan[4:], "it is not a TensorRT engine: build one with"),
        (take_driver, "there is no usable NVIDIA driver: install one (nvidia-smi must work), or start the container"),
        (fill_memory, "the GPU is out of memory: close other programs"),
    ],
    ids=["incompatible device", "version tag", "truncated", "garbage", "empty", "TensorRT RTX", "driver", "memory"],
)
def test_refusals_of_tensorrt_are_explained(monkeypatch, spec, change, expected):
    text = refusal(monkeypatch, spec, change)
    assert text.startswith(("the engine cannot be loaded: ", "the engine cannot be started: "))
    assert expected in text


RAW = {
    "Cannot deserialize with an empty memory buffer": "it is empty",
    "stdVersionRead == kSERIALIZATION_VERSION failed. Version tag does not match": "another TensorRT version",
    "engine plan file is generated on an incompatible device": "built for another GPU",
    "cudaError 35: CUDA driver version is insufficient for CUDA runtime version": "no usable NVIDIA driver",
    "[defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory)": "the GPU is out of memory",
    "Error Code 7: BuildCanceled": "the build was cancelled",
    "No importer registered for op: GridThing": "uses the operation GridThing, which",
    "getPluginCreator could not find plugin EfficientNMS version 1": "uses the operation EfficientNMS, which",
    "[network.cpp::addThing::12] Error Code 4: odd": "TensorRT reports: Error Code 4: odd",
}  # fmt: skip


@pytest.mark.parametrize("raw", RAW)
def test_messages_of_tensorrt_become_sentences(raw):
    assert RAW[raw] in explain(["harmless", raw]) or RAW[raw] in explain([raw])


def test_without_a_message_the_user_is_pointed_to_verbose():
    assert "--verbose" in explain([])


def test_every_explanation_says_what_to_do():
    for _, sentence in EXPLANATIONS:
        assert ": " in sentence or "nothing was changed" in sentence


@pytest.mark.parametrize("version", VERSIONS)
def test_the_version_is_in_the_file_name(monkeypatch, spec, version):
    install(monkeypatch, version)
    assert f"_trt{version}_" in build_engine(spec).path.name
