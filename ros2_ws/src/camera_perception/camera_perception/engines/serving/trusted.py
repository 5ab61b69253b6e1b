"""Opening model folders that somebody trusted has signed; without trusted keys every folder that passes its checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.engines.serving.signature import SUMS, verify


def load_trusted(folder: Path | str, trusted: Sequence[str]) -> ModelSpec:
    """Like load_spec. With trusted keys the folder must be signed by one of them; `signed_by` of the result says which.

    Nothing of the folder is read before its signature has been checked.
    """
    if not trusted:
        return load_spec(folder)
    path = Path(folder)
    signed = verify(path.parent if path.is_file() else path, trusted)
    spec = replace(load_spec(signed.folder), signed_by=signed.signer)
    signed.check_unchanged()
    return spec


@contextmanager
def unchanged(spec: ModelSpec) -> Iterator[None]:
    """While the files of a signed model are read: ModelError if they are not those of its signature, or change."""
    if not spec.signed_by:
        yield
        return
    signed = verify(signed_root(spec), [spec.signed_by])
    yield
    signed.check_unchanged()


def signed_root(spec: ModelSpec) -> Path:
    """The folder with the signature: that of the model, also for its fp16, int8 and size folders, and 544x416/fp16."""
    above = spec.folder, *spec.folder.parents[:2]
    return next((folder for folder in above if (folder / SUMS).exists()), spec.folder)
