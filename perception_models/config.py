"""Configuration dataclasses filled from YAML and key=value overrides; unknown keys and wrong types are errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar, get_type_hints

T = TypeVar("T")


class SettingsError(ValueError):
    """A configuration file or an override is invalid."""


def load_settings(cls: type[T], path: Path | None = None, overrides: list[str] | None = None) -> T:
    """A `cls` from its defaults, then a YAML file, then overrides such as optimizer.lr=0.001 (the last one wins)."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        merged = OmegaConf.structured(cls)
        if path is not None:
            merged = OmegaConf.merge(merged, OmegaConf.load(path))
        merged = OmegaConf.merge(merged, OmegaConf.from_dotlist(overrides or []))
        return OmegaConf.to_object(merged)  # type: ignore[return-value]
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist: give a file like perception_models/configs/demo.yaml") from None
    except (OmegaConfBaseException, YAMLError) as error:
        key = getattr(error, "full_key", None)
        where = "".join(f"{part}: " for part in (path, key) if part)
        hint = _similar(cls, key) if key else ""
        raise SettingsError(
            f"{where}{str(error).splitlines()[0]}: {hint or 'see the comments in perception_models/configs'}"
        ) from error


def _similar(cls: type, key: str) -> str:
    """ "did you mean optimizer.lr?" for an unknown key; "" when it exists or nothing is like it."""
    known = [*_keys(cls, "")]
    similar = [] if key in known else get_close_matches(key, known, n=1)
    return f"did you mean {similar[0]}?" if similar else ""


def _keys(cls: type, prefix: str) -> Iterator[str]:
    hints = get_type_hints(cls)
    for each in fields(cls):
        yield prefix + each.name
        if isinstance(kind := hints[each.name], type) and is_dataclass(kind):
            yield from _keys(kind, f"{prefix}{each.name}.")
