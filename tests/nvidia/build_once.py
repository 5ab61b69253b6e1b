"""Build one model folder for one GPU type with the product's own builder and TensorRT for RTX, on a CPU.

    python build_once.py MODEL TARGET BATCH      # TARGET as in trt.ComputeCapability: SM86. Prints one line of JSON

Nothing is patched but the inspector, which needs a GPU.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import tensorrt_rtx_bindings

sys.modules["tensorrt_rtx"] = tensorrt_rtx_bindings

from camera_perception.core.errors import EngineError  # noqa: E402
from camera_perception.core.model_spec import load_spec  # noqa: E402
from camera_perception.engines.tensorrt import package  # noqa: E402


def main(folder: str, target: str, batch: str) -> dict[str, object]:
    package.use(package.RTX)
    from camera_perception.engines.tensorrt import builder
    from camera_perception.engines.tensorrt.manifest import BuildOptions

    builder.inspect = lambda data: "{}"
    spec = load_spec(Path(folder))
    spec = replace(spec, input=replace(spec.input, batch=int(batch)))
    fractions: list[float] = []
    started = perf_counter()
    try:
        plan = builder.build_plan(
            spec, BuildOptions(), lambda phase, fraction: fractions.append(fraction) or True, target=target
        )
    except EngineError as error:
        return {"built": False, "reason": str(error), "seconds": perf_counter() - started}
    return {
        "built": True,
        "mib": len(plan.data) / 2**20,
        "seconds": perf_counter() - started,
        "steps": len(fractions),
        "growing": fractions == sorted(fractions),
        "last": fractions[-1],
        "magic": plan.data[:4].decode("latin1"),
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
