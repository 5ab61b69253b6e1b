"""What anonymisation does not cover: said in the report and by the command, since nobody can see it in the result."""

from __future__ import annotations

from collections.abc import Sequence

from camera_perception.core.model_spec import ModelSpec

# (name, version) of a model -> heads of real people that it covers alone, and all heads; docs/privacy.md says of whom.
HEADS_OF_REAL_PEOPLE = {
    ("demo", "0.5.0"): (49, 75),
    ("demo", "0.7.0"): (56, 75),
    ("demo", "0.8.0"): (59, 75),
    ("demo", "0.9.0"): (61, 75),
    ("demo", "0.10.0"): (68, 75),
    ("demo", "0.11.0"): (70, 75),
    ("demo", "0.12.0"): (70, 75),
    ("demo", "1.0.0"): (70, 75),
    ("demo", "1.1.0"): (70, 75),
}
ALWAYS = (
    "people less than about 48 pixels high, and vehicles less than about 60: most of them are not detected",
    "drivers behind windscreens, and people on posters, in mirrors and in windows (--whole covers drivers)",
    "clothes, gait, lettering on vehicles, house numbers, and places",
    "positions and other topics that were passed on: --drop what gives an address away",
)


def recall_of(models: Sequence[ModelSpec]) -> str:
    """One clause on how many heads of real people these models cover, as far as it was measured."""
    known = HEADS_OF_REAL_PEOPLE.get((models[0].name, models[0].version)) if len(models) == 1 else None
    if known is None:
        names = " and ".join(f"{each.name} {each.version}" for each in models)
        return f"nobody has measured how many heads of real people {names} leaves uncovered: look at the result"
    covered, count = known
    name = f"{models[0].name} {models[0].version}"
    return f"{name} leaves {count - covered} of {count} heads of real people uncovered that are at least 48 pixels high"


def not_covered(models: Sequence[ModelSpec]) -> list[str]:
    """All clauses, for the report."""
    return [recall_of(models), *ALWAYS]
