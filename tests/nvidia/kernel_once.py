"""Look up the product's CUDA names in one version of cuda-bindings, and compile the letterbox kernel with real NVRTC.

python kernel_once.py NVRTC_LIBRARY SOURCE_FOLDER COMPUTE_CAPABILITY ...     # prints JSON: problems, bytes per GPU
"""

from __future__ import annotations

import ctypes
import json
import re
import sys
from pathlib import Path

ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL)

from cuda.bindings import driver, nvrtc, runtime  # noqa: E402

from camera_perception.core.errors import EngineError  # noqa: E402
from camera_perception.engines.cuda.kernel import compile_cubin  # noqa: E402


def missing(folder: Path) -> list[str]:
    """Names of the sources that are in none of the three modules."""
    text = "\n".join(file.read_text("utf-8") for file in folder.glob("*.py"))
    members = set(runtime.cudaError_t.__members__) | set(runtime.cudaMemcpyKind.__members__)
    members |= set(runtime.cudaStreamCaptureMode.__members__) | set(nvrtc.nvrtcResult.__members__) | {"NVRTC_SUCCESS"}
    names = set(re.findall(r"\b(?:cuda|cu|nvrtc)[A-Z]\w+", text))
    known = [set(dir(module)) for module in (driver, nvrtc, runtime)]
    return sorted(name for name in names if name not in members and not any(name in each for each in known))


def compiled(compute_capability: str) -> int | str:
    """Bytes of the cubin, or why there is none."""
    try:
        code = bytes(compile_cubin(compute_capability))
    except EngineError as error:
        return str(error)
    return len(code) if code[:4] == b"\x7fELF" and b"letterbox" in code else "this is no cubin with the kernel"


if __name__ == "__main__":
    _, _, sources, *targets = sys.argv
    print(json.dumps({"missing": missing(Path(sources)), "compiled": {each: compiled(each) for each in targets}}))
