"""Every name that the product uses exists in NVIDIA's real bindings, of each version that vehicles have."""

from __future__ import annotations

import shutil

import pytest
import stub_libraries
import wheels
from conftest import ENGINES, STUB, run_once


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    if shutil.which("cc") is None:
        pytest.skip("no C compiler for the stub libraries: apt install gcc")
    folders = {major: tmp_path_factory.mktemp(f"stubs{major}") for major in ("10", "11")}
    return {major: stub_libraries.write_stubs(folder, major) for major, folder in folders.items()}


def problems(version, libraries, stub=STUB, sources=ENGINES / "tensorrt"):
    folder = wheels.unpacked(wheels.BINDINGS[version])
    return run_once(
        "names_once.py", "tensorrt_bindings", stub, sources, *libraries[version.split(".")[0]], packages=folder
    )


@pytest.mark.parametrize("version", wheels.BINDINGS)
def test_names_and_keywords_exist_in_the_real_bindings(version, libraries, report):
    wrong = problems(version, libraries)
    report("names and keywords", f"tensorrt {version}", "; ".join(wrong) or "all exist")
    assert wrong == []


def test_names_and_keywords_exist_in_tensorrt_for_rtx(report):
    folder = wheels.unpacked(*wheels.RTX)
    wrong = run_once("names_once.py", "tensorrt_rtx_bindings", STUB, ENGINES / "tensorrt", packages=folder)
    report("names and keywords", "tensorrt_rtx 1.7.1.116", "; ".join(wrong) or "all exist")
    assert wrong == []


def test_a_planted_wrong_name_is_found(libraries, tmp_path):
    stub, sources = tmp_path / "tensorrt.pyi", tmp_path / "sources"
    shutil.copytree(ENGINES / "tensorrt", sources)
    planted = STUB.read_text("utf-8").replace("pool_size: int", "bytes: int").replace("def clear_flag", "def drop_flag")
    stub.write_text(planted, "utf-8")
    (sources / "planted.py").write_text("import tensorrt as trt\nflag = trt.BuilderFlag.FP16\n")
    for version, gone in (("10.3.0", []), ("11.4.0.106", ["planted.py: trt.BuilderFlag.FP16 does not exist"])):
        assert problems(version, libraries, stub, sources) == [
            "tensorrt.pyi: IBuilderConfig.set_memory_pool_limit has no argument bytes",
            "tensorrt.pyi: IBuilderConfig.drop_flag does not exist",
            *gone,
        ]
