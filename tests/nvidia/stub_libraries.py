"""Empty stand-ins for TensorRT's libraries, compiled on the spot: NVIDIA's real Python bindings import with them."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

EXPORTS = (
    "createInferBuilder_INTERNAL createInferRefitter_INTERNAL createInferRuntime_INTERNAL "
    "createNvOnnxParserRefitter_INTERNAL createNvOnnxParser_INTERNAL getBuilderPluginRegistry getNvOnnxParserVersion "
    "getPluginRegistry initLibNvInferPlugins"
).split()
LIBRARIES = "libnvinfer", "libnvinfer_plugin", "libnvonnxparser"


def write_stubs(folder: Path, major: str) -> list[Path]:
    """Shared objects that export what the bindings of a major version link to."""
    source = folder / "stub.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in EXPORTS))
    made = []
    for name in LIBRARIES:
        made.append(folder / f"{name}.so.{major}")
        command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{made[-1].name}", "-o", made[-1], source]
        subprocess.run(command, check=True)
    return made


def load(paths: list[str]) -> None:
    """The linker takes what is loaded already for what the bindings ask for."""
    for path in paths:
        ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
