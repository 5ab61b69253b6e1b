"""Translation of TensorRT's error messages into sentences for users. Works on text only, without TensorRT."""

from __future__ import annotations

import re
from collections.abc import Iterable

BUILD = "camera-perception build-engine"

# Pattern over everything that was logged: cause and remedy. The first match wins: the most specific causes come first,
# since a failed build also reports that it found no kernel, or no driver to try kernels on.
EXPLANATIONS: tuple[tuple[str, str], ...] = (
    (
        r"expecting compute (?P<had>[\d.]+) got compute (?P<has>[\d.]+)",
        "it was built for a GPU of compute capability {had}, this one has {has}: build it here with `{build}`",
    ),
    (r"incompatible device", "it was built for another GPU: build it on this machine with `{build}`"),
    (
        r"Current Version: (?P<has>\d+), Serialized Engine Version: (?P<had>\d+)",
        "it was written by another TensorRT (format {had}, this one reads {has}): build it again with `{build}`",
    ),
    (
        r"[Vv]ersion tag does not match|serialization version|kSERIALIZATION_VERSION",
        "it was written by another TensorRT version: build it again with `{build}`",
    ),
    (r"magicTag|kEXPECTED_MAGIC_TAG", "it is not a TensorRT engine: build one with `{build}`"),
    (r"header\.size == blobSize", "it is cut off: copy it again, or build it again with `{build}`"),
    (r"empty memory buffer", "it is empty: build it again with `{build}`"),
    (r"BuildCanceled", "the build was cancelled; nothing was changed"),
    (
        r"HW-specific datatypes: fp8",
        "this GPU has no fp8 arithmetic (it needs compute capability 8.9 or newer): use --precision fp16",
    ),
    (
        r"infer output types for operation: dequantize",
        "this TensorRT cannot build int8 on this GPU (a known fault of 10.16 on Orin): use --precision fp16",
    ),
    (
        r"[Nn]on-zero zero point",
        "its int8 scales have zero points, which TensorRT rejects: quantise again with `perception-models quantize`",
    ),
    (
        r"missing dimensions in profile",
        "an input dimension other than the batch is dynamic: export the model with a fixed image size",
    ),
    (
        r"must have type Float",
        "an operation works on uint8 pixels directly: the first node after the input has to be a Cast to float",
    ),
    (
        r"No importer registered for op: (?P<op>\w+)|getPluginCreator could not find plugin:? (?P<plugin>\w+)",
        "it uses the operation {op}{plugin}, which TensorRT does not have: export the model without it",
    ),
    (
        r"[Oo]ut ?[Oo]f ?[Mm]emory|cudaErrorMemoryAllocation|Error Code 2: OutOfMemory|insufficient memory",
        "the GPU is out of memory: close other programs, or give less --workspace, a smaller batch or a smaller model",
    ),
    (
        r"Could not find any implementation for node (?P<node>[^.]+)",
        "no kernel fits node {node}: give more --workspace",
    ),
    (
        r"cudaError 35|driver version is insufficient|cudaErrorInsufficientDriver",
        "there is no usable NVIDIA driver: install one (nvidia-smi must work), or start the container with --gpus all",
    ),
)


def explain(messages: Iterable[str], build: str = BUILD) -> str:
    """The cause and what to do, in one clause; for an unknown cause TensorRT's first message.

    messages  error messages in the order in which they came
    build     the command that builds the engine in question
    """
    texts = [text.strip() for text in messages if text.strip()]
    everything = "\n".join(texts)
    for pattern, sentence in EXPLANATIONS:
        if found := re.search(pattern, everything):
            groups = {name: value or "" for name, value in found.groupdict().items()}
            return sentence.format(build=build, **groups)
    return f"TensorRT reports: {_plain(texts[0])}" if texts else "TensorRT gave no reason: run again with --verbose"


def _plain(text: str) -> str:
    """The message without TensorRT's file names and line numbers."""
    return re.sub(r"\[[\w/.]+(?:cpp|h)::\w+::\d+\]\s*", "", text)[:400]
