"""Errors of this package; free of heavy imports."""

from __future__ import annotations

PACKAGES = "libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri"  # Debian and Ubuntu


class NoOpenGL(RuntimeError):
    """This machine offers no OpenGL 3.3 through EGL."""


def no_opengl(reason: Exception) -> NoOpenGL:
    return NoOpenGL(
        f"no OpenGL 3.3 through EGL on this machine ({reason}): install a graphics driver or Mesa's software renderer, "
        f"for example with `apt install {PACKAGES}`"
    )
