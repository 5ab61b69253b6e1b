"""Seals of engines: whoever can write the engine folder cannot make TensorRT deserialise bytes of their own.

An engine holds code. One of a signed model is read only if its manifest, which names model, machine and the SHA-256 of
the engine, has an HMAC-SHA-256 by a key that only the user of the node can read. The key is made by the first build.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import replace
from pathlib import Path

from camera_perception.core.errors import EngineError
from camera_perception.engines.tensorrt.manifest import Manifest

KEY_FILE = "CAMERA_PERCEPTION_ENGINE_KEY"  # environment variable with the path of the key
KEY_BYTES = 32


def key_path() -> Path:
    """~/.config/camera_perception/engine.key, or below XDG_CONFIG_HOME, or what the environment says."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Path(os.environ.get(KEY_FILE) or config / "camera_perception" / "engine.key")


def sealed(manifest: Manifest, signer: str) -> Manifest:
    """The manifest with the seal of the model's signer; unchanged for a model whose signature nobody asked for."""
    return replace(manifest, seal=_seal(manifest, signer, _own_key())) if signer else manifest


def require_seal(path: Path, manifest: Manifest, signer: str) -> None:
    """EngineError unless this user sealed the manifest for that signer; without a signer every manifest passes."""
    if not signer:
        return
    if not manifest.seal:
        raise EngineError(f"{path} has no seal: the engine was not built from the signed model")
    if not hmac.compare_digest(_seal(manifest, signer, read_key(key_path())).encode(), manifest.seal.encode()):
        raise EngineError(f"{path} has a seal that is not by {key_path()}: it was changed, or built by another user")


def _seal(manifest: Manifest, signer: str, key: bytes) -> str:
    text = f"camera_perception engine 1\n{signer}\n{replace(manifest, seal='').text()}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _own_key() -> bytes:
    """The key, made if there is none."""
    path = key_path()
    if not path.exists():
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_new(path, secrets.token_bytes(KEY_BYTES))
        except OSError as error:
            raise EngineError(
                f"the engine key cannot be written to {path} ({error.strerror}): make that folder writable for "
                f"this user, or set {KEY_FILE}"
            ) from error
    return read_key(path)


def _write_new(path: Path, data: bytes) -> None:
    """A new file for this user only, complete when it appears; one that another process made first stays."""
    part = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(data)
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink()


def read_key(path: Path) -> bytes:
    """EngineError unless the key is a file of this user that nobody else can read, in a folder that is not shared."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
            status, folder = os.fstat(stream.fileno()), path.parent.stat()
            data = stream.read(KEY_BYTES + 1) if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        raise EngineError(f"engine key {path} cannot be read ({error.strerror}): build the engine again") from error
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise EngineError(f"engine key {path} must belong to this user alone: chmod 600 it, or remove it")
    if folder.st_uid not in (0, os.geteuid()) or folder.st_mode & 0o022:
        raise EngineError(f"others can write the folder of engine key {path}: chmod 700 {path.parent}")
    if len(data) != KEY_BYTES:
        raise EngineError(f"engine key {path} does not have {KEY_BYTES} bytes: remove it, a build makes another")
    return data
