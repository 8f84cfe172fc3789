"""Rules for augmenters."""

from __future__ import annotations

import json
import pickle

import numpy as np
import PIL.Image
import torch

from sslkit.data.whole import Source, stack_sources
from sslkit.parts.augmenter import Augmenter, Draws
from sslkit.parts.randomness import generator
from sslkit.parts.views import ViewSpec
from sslkit.testing.case import Case, require, untouched_generators

_SIZES = ((40, 30), (3, 200), (1, 1))


def _image(width: int, height: int) -> PIL.Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return PIL.Image.fromarray(pixels)


def _draw(augmenter: Augmenter, view: ViewSpec, width: int, height: int, key: int = 0) -> Draws:
    return augmenter.draw(view, width, height, generator("conformance", key))


def views(case: Case) -> None:
    """It has views, with different ids, of which the student sees one at least."""
    found = case.build().views
    require(
        isinstance(found, tuple) and all(isinstance(view, ViewSpec) for view in found), "views is no tuple of ViewSpec"
    )
    ids = [view.id for view in found]
    require(len(set(ids)) == len(ids), f"two views have one id: {', '.join(ids)}")
    require(any(view.student for view in found), "the student sees no view")


def draws(case: Case) -> None:
    """Draws are plain numbers, a function of the generator that is handed in, and differ between generators."""
    augmenter = case.build()
    for view in augmenter.views:
        with untouched_generators():
            one, again = (_draw(augmenter, view, 40, 30) for _ in range(2))
        require(
            json.dumps(one) == json.dumps(again), f"for {view.id} the same generator gives other draws the second time"
        )
        plain = all(isinstance(v, float | int) or (isinstance(v, list) and all(isinstance(x, float | int) for x in v))
                    for v in one.values())  # fmt: skip
        require(plain, f"the draws for {view.id} hold something that is neither number nor list of numbers")


def pure_pixels(case: Case) -> None:
    """``render`` is a pure function of image and draws: uint8 ``[C, size, size]``, whatever the image's size."""
    augmenter = case.build()
    for width, height in _SIZES:
        for view in augmenter.views:
            image, made = _image(width, height), _draw(augmenter, view, width, height, key=1)
            with untouched_generators():
                one, again = (augmenter.render(image, view, made) for _ in range(2))
            label = f"of an image of {width} x {height} the view {view.id}"
            require(one.dtype == torch.uint8, f"{label} is {one.dtype} instead of uint8")
            wanted = (3, view.size, view.size)
            require(tuple(one.shape) == wanted, f"{label} has the shape {tuple(one.shape)} instead of {wanted}")
            require(torch.equal(one, again), f"{label} comes out otherwise the second time: draw in draw() alone")
            require(np.array_equal(np.asarray(image), np.asarray(_image(width, height))), "render changes the image")


def on_device(case: Case) -> None:
    """``on_device``, if any, makes uint8 ``[V, B, C, size, size]`` of each size; no image depends on others."""
    augmenter = case.build()
    if augmenter.on_device is None:
        return
    sources = []
    for key, (width, height) in enumerate(_SIZES):
        made = tuple(_draw(augmenter, view, width, height, key) for view in augmenter.views)
        sources.append(Source(augmenter.on_device.prepare(_image(width, height)), (width, height), made))
    together = augmenter.on_device.render(stack_sources(sources))
    for size in dict.fromkeys(view.size for view in augmenter.views):
        views = together.get(size)
        require(views is not None and views.dtype == torch.uint8, f"there are no uint8 views of {size} pixels")
        wanted = (sum(view.size == size for view in augmenter.views), len(_SIZES), 3, size, size)
        require(tuple(views.shape) == wanted, f"of {size} pixels it gives {tuple(views.shape)} instead of {wanted}")
        for row, source in enumerate(sources):
            alone = augmenter.on_device.render(stack_sources([source]))[size][:, 0].int()
            apart = int((alone - views[:, row].int()).abs().max())
            require(apart <= 2, f"in a batch with others an image's views differ by {apart} of 255")


def pickles(case: Case) -> None:
    """It goes to worker processes: pickled and unpickled it draws and renders the same."""
    augmenter = case.build()
    twin = pickle.loads(pickle.dumps(augmenter))
    for view in augmenter.views:
        one, other = (part.render(_image(40, 30), view, _draw(part, view, 40, 30)) for part in (augmenter, twin))
        require(torch.equal(one, other), f"unpickled it renders {view.id} otherwise")


RULES = (views, draws, pure_pixels, on_device, pickles)
