"""The GPU's letterbox kernel, compiled for the CPU with a loop in place of the threads, against the CPU's letterbox."""

from __future__ import annotations

import ctypes
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from camera_perception.core.model_spec import InputSpec
from camera_perception.engines.cuda.kernel import KERNEL, TYPES
from camera_perception.image.letterbox import Letterbox, Preprocessor, halving_sizes

AS_C = """
#define __device__ static
#define __global__
struct three { int x, y; };
static struct three blockIdx, blockDim = {1, 1}, threadIdx;
"""
LOOP = """
void run(const unsigned char* image, int columns, int rows, unsigned char* target, int dw, int dh, int left, int top,
         int width, int height, int pad, int swap) {
    for (blockIdx.y = 0; blockIdx.y < dh + 3; ++blockIdx.y)
        for (blockIdx.x = 0; blockIdx.x < dw + 3; ++blockIdx.x)
            letterbox(image, columns, rows, target, dw, dh, left, top, width, height, pad, swap);
}
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "kernel.c").write_text(AS_C + KERNEL.replace('extern "C"', "") + LOOP)
    library = folder / "kernel.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, folder / "kernel.c"], check=True)
    run = ctypes.CDLL(str(library)).run
    run.argtypes = TYPES
    return run


def resized(kernel, image, shape, area, pad=114, swap=0):
    """A target of that (H, W) with the image in area (left, top, width, height); guarded against writing outside."""
    guard = np.full((shape[0] * shape[1] * 3 + 64), 77, np.uint8)
    kernel(image.ctypes.data, image.shape[1], image.shape[0], guard.ctypes.data, shape[1], shape[0], *area, pad, swap)
    assert (guard[-64:] == 77).all()
    return guard[:-64].reshape(*shape, 3)


@pytest.mark.parametrize("size", [(96, 160), (97, 131), (192, 320), (720, 1280), (481, 333), (40, 60)])
@pytest.mark.parametrize(("color", "align"), [("bgr", "center"), ("rgb", "top_left")])
def test_the_kernel_agrees_with_the_cpu(kernel, size, color, align):
    noise = np.random.default_rng(0).integers(0, 256, (size[0] // 4, size[1] // 4, 3), np.uint8)
    source = image = np.ascontiguousarray(cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC))
    spec = InputSpec("images", 160, 96, color=color, align=align)
    wanted = np.empty(spec.shape[1:], np.uint8)
    Preprocessor(spec)(source, wanted)
    box = Letterbox.fit(size, spec.size, align)
    for half in halving_sizes(box):
        image = np.ascontiguousarray(resized(kernel, image, half, (0, 0, half[1], half[0])))
    got = resized(kernel, image, spec.size, (box.left, box.top, box.width, box.height), spec.pad, int(color == "rgb"))
    difference = np.abs(got.astype(int) - wanted)
    assert difference.max() <= 2
    assert difference.mean() < 0.3


def test_padding_surrounds_the_image(kernel):
    white = np.full((10, 10, 3), 255, np.uint8)
    got = resized(kernel, white, (8, 16), (4, 0, 8, 8), pad=9)
    assert (got[:, 4:12] == 255).all()
    assert (np.delete(got, np.s_[4:12], axis=1) == 9).all()
