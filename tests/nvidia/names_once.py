"""Compare the names that the product uses with one version of NVIDIA's bindings. Prints a JSON list of what is wrong.

    python names_once.py MODULE STUB SOURCE_FOLDER [LIBRARY ...]

MODULE         bindings to import: tensorrt_bindings, tensorrt_rtx_bindings
STUB           typings/tensorrt.pyi: mypy keeps the product to its names, here they meet the real ones
SOURCE_FOLDER  sources whose `trt.` chains are looked up
LIBRARY        stub libraries to load first
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import stub_libraries

# Called by TensorRT, and so no attributes of its classes; or of an instance only.
NOT_ATTRIBUTES = {"IErrorRecorder.get_num_errors", "IHostMemory.__buffer__"}
OVERRIDDEN = "IErrorRecorder", "ILogger", "IProgressMonitor"  # called with positions, by TensorRT


def stub_names(stub: Path) -> Iterator[tuple[str, list[str] | None]]:
    """Dotted name, and the argument names of a function (without self); None for anything else."""

    def visit(nodes: list[ast.stmt], owner: str) -> Iterator[tuple[str, list[str] | None]]:
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                yield owner + node.name, None
                yield from visit(node.body, f"{owner}{node.name}.")
            elif isinstance(node, ast.FunctionDef):
                is_property = bool(node.decorator_list)
                names = [argument.arg for argument in node.args.args if argument.arg != "self"]
                yield owner + node.name, None if is_property or node.name.startswith("__") else names
            elif isinstance(node, ast.AnnAssign | ast.Assign):
                target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
                yield owner + ast.unparse(target), None

    yield from visit(ast.parse(stub.read_text("utf-8")).body, "")


def found(module: ModuleType, name: str) -> Any:
    """The object of that dotted name; None when it does not exist."""
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part, None)
        if value is None:
            return None
    return value


def wrong_keywords(function: Any, names: list[str]) -> list[str]:
    """Argument names that no overload has, by the signatures that pybind11 writes into docstrings."""
    signatures = re.findall(r"\((.*)\) ->", function.__doc__ or "")
    if not signatures:
        return []
    known = [re.findall(r"(?:^|, )\*?(\w+): ", signature) for signature in signatures]
    return [] if any(set(names) <= set(each) for each in known) else sorted(set(names) - set(known[0]))


def chains(folder: Path) -> Iterator[tuple[str, str]]:
    """File and dotted name of everything behind `trt.` in the sources."""
    for file in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and (text := ast.unparse(node)).startswith("trt."):
                if re.fullmatch(r"trt(\.\w+)+", text):
                    yield file.name, text.removeprefix("trt.")


def problems(module: ModuleType, stub: Path, sources: Path) -> list[str]:
    wrong = []
    for name, arguments in stub_names(stub):
        if name in NOT_ATTRIBUTES:
            continue
        value = found(module, name)
        if value is None:
            wrong.append(f"{stub.name}: {name} does not exist")
        elif name.split(".")[0] in OVERRIDDEN:
            continue
        elif arguments and (strange := wrong_keywords(value, arguments)):
            wrong.append(f"{stub.name}: {name} has no argument {', '.join(strange)}")
    wrong += [f"{file}: trt.{name} does not exist" for file, name in chains(sources) if found(module, name) is None]
    return wrong


def product_problems(module: ModuleType) -> list[str]:
    """The product's own subclasses, called through the bindings' C++ side."""
    sys.modules["tensorrt"] = module
    for name in ("logger", "progress", "builder", "plan", "engine"):
        importlib.import_module(f"camera_perception.engines.tensorrt.{name}")
    from camera_perception.engines.tensorrt.logger import ErrorRecorder

    recorder = ErrorRecorder()
    recorder.report_error(module.ErrorCodeTRT.FAILED_EXECUTION, "x")
    counted = module.IErrorRecorder.num_errors.__get__(recorder)()
    return [] if counted == 1 else [f"ErrorRecorder: TensorRT counts {counted} errors of one"]


if __name__ == "__main__":
    name, stub, sources, *libraries = sys.argv[1:]
    stub_libraries.load(libraries)
    bindings = importlib.import_module(name)
    print(json.dumps(problems(bindings, Path(stub), Path(sources)) + product_problems(bindings)))
