"""Make the whole pool of people before the first scene needs them."""

from __future__ import annotations

import multiprocessing

from tqdm import tqdm

from driving_scenes.assets.people.person_pool import SOURCE, VARIANTS, folder, keep, path_of, source


def make_people(workers: int = 1) -> str:
    """Make the people who are missing; says where they are. Raises FileNotFoundError without people.npz."""
    if source() is None:
        raise FileNotFoundError(f"people.npz is not there; set {SOURCE} to its path.")
    everyone = [(kind, k) for kind, count in VARIANTS.items() for k in range(count)]
    todo = [one for one in everyone if not path_of(*one).is_file()]
    with (
        multiprocessing.get_context("spawn").Pool(workers) as pool,
        tqdm(total=len(everyone), initial=len(everyone) - len(todo), unit="person", disable=None) as bar,
    ):
        for _ in pool.imap_unordered(_keep, todo):
            bar.update()
    return f"{folder()}: {len(everyone)} people"


def _keep(one: tuple[str, int]) -> None:
    keep(*one)
