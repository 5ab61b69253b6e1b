"""The sources use only names of typings/tensorrt.pyi, and the fake has them all.

`make check-nvidia` compares the same names with NVIDIA's real bindings of every version.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from fake_cuda import FakeCuda
from fake_kernels import FakeDriver, FakeNvrtc
from fake_tensorrt import FakeTensorRt

REPOSITORY = Path(__file__).parents[2]
ENGINES = REPOSITORY / "ros2_ws/src/camera_perception/camera_perception/engines"
SOURCES = sorted((ENGINES / "tensorrt").glob("*.py"))
STUB = REPOSITORY / "typings/tensorrt.pyi"


def names_of_trt(file: Path) -> set[str]:
    """Dotted names behind `trt.` in a source file."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and (name := dotted(node)).startswith("trt."):
            found.add(name.removeprefix("trt."))
    return found


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def stub_classes() -> dict[str, dict[str, ast.AST]]:
    """Class of the stub: its members; "" for the module itself."""
    classes: dict[str, dict[str, ast.AST]] = {"": {}}

    def visit(nodes, owner):
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                classes[owner][node.name] = node
                classes[node.name] = {}
                visit(node.body, node.name)
            elif isinstance(node, ast.FunctionDef):
                classes[owner][node.name] = node
            elif isinstance(node, ast.AnnAssign):
                classes[owner][node.target.id] = node
            elif isinstance(node, ast.Assign):
                classes[owner][node.targets[0].id] = node

    visit(ast.parse(STUB.read_text("utf-8")).body, "")
    return classes


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_the_sources_use_only_names_of_the_stub(file):
    assert unknown(names_of_trt(file)) == []


def unknown(names):
    """Dotted names that the stub does not have."""
    classes = stub_classes()

    def known(owner, parts):
        if not parts or parts == ["__init__"]:
            return True
        return parts[0] in classes[owner] and known(parts[0] if parts[0] in classes else owner, parts[1:])

    return [name for name in sorted(names) if not known("", name.split("."))]


def test_the_check_would_find_a_wrong_name(tmp_path):
    file = tmp_path / "x.py"
    file.write_text("import tensorrt as trt\nflag = trt.BuilderFlag.FP16, trt.BuilderFlag.TF32, trt.build_engine\n")
    assert unknown(names_of_trt(file)) == ["BuilderFlag.FP16", "build_engine"]


@pytest.mark.parametrize("version", ["10.3.0", "11.1.0"])
def test_the_fake_has_the_stubs_names_and_arguments(version):
    module = FakeTensorRt(version, FakeCuda()).module
    for owner, members in stub_classes().items():
        if owner == "Severity":
            continue
        home = getattr(module, owner) if owner else module
        for name, node in members.items():
            if not isinstance(node, ast.FunctionDef) or name.startswith("__") or "Progress" in owner + name:
                continue
            if owner in ("IErrorRecorder", "ILogger"):
                continue  # abstract: written by the user of the library
            fake = inspect.getattr_static(home, name, property())
            if isinstance(fake, property):
                continue
            got = list(inspect.signature(getattr(home, name)).parameters)
            assert got == [argument.arg for argument in node.args.args], f"{owner}.{name}"


@pytest.mark.parametrize(("version", "bit"), [("10.3.0", 1), ("10.16.2", 1), ("11.1.0", 0)])
def test_the_flag_moves_between_versions(version, bit):
    module = FakeTensorRt(version, FakeCuda()).module
    assert int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED) == bit


def test_the_fake_of_cuda_has_nvidias_names():
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="needs cuda-bindings")
    ours = {name for name in dir(FakeCuda) if name.startswith("cuda")}
    assert {name for name in ours if not hasattr(runtime, name)} == set()
    for kind in ("cudaError_t", "cudaMemcpyKind", "cudaStreamCaptureMode"):
        for member in getattr(FakeCuda, kind):
            assert int(getattr(getattr(runtime, kind), member.name)) == int(member)


@pytest.mark.parametrize(("module", "fake", "prefix"), [("driver", FakeDriver, "cu"), ("nvrtc", FakeNvrtc, "nvrtc")])
def test_the_fakes_of_driver_and_nvrtc_have_nvidias_names(module, fake, prefix):
    real = pytest.importorskip(f"cuda.bindings.{module}", reason="needs cuda-bindings")
    ours = {name for name in dir(fake) if name.startswith(prefix) and name != "cuda"}
    assert ours
    assert {name for name in ours if not hasattr(real, name)} == set()


def test_a_machine_without_driver_is_explained():
    pytest.importorskip("cuda.bindings.runtime", reason="needs cuda-bindings")
    from camera_perception.engines.cuda import runtime as cuda

    reason = cuda.available()
    if reason is None:
        pytest.skip("this machine has a GPU")
    assert "nvidia-smi" in reason
