"""One pass over made-up images before anything is trained: a part that breaks its contract is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import Tensor

from sslkit.data.channels import to_channels
from sslkit.engine import promises
from sslkit.engine.least_batch import BatchNormValues, check_batch, images_needed
from sslkit.engine.network import Network
from sslkit.engine.run import Run
from sslkit.errors import RunError, UserError
from sslkit.evaluation.borrow import in_eval_mode
from sslkit.parts.bands import Bands
from sslkit.parts.position import Position
from sslkit.parts.randomness import generator, keyed_randomness
from sslkit.parts.views import Views
from sslkit.recipe.model import PartSpec, Recipe


def dry_run(recipe: Recipe, run: Run, classes: int | None) -> None:
    """Let augmenter, nets and losses work on two images of noise (more, if a loss needs them); nothing moves, and no
    generator.

    All ranks must call it together.

    Raises:
        UserError: if a part fails or breaks its contract, naming plugin, part and contract; or if the recipe's batch is
            too small for losses or BatchNorm.
    """
    count, values = max(2, images_needed(run.losses)), BatchNormValues(run)
    with ExitStack() as stack:
        stack.enter_context(keyed_randomness(run.device, "dry run", run.seed))
        for net in (run.student, run.teacher):
            if net is not None:
                stack.enter_context(in_eval_mode(net))
        _try_augmenter(recipe, run)
        views = _views(run, classes, count)
        _try_net(recipe, run.student, views, count)
        with values.counting():
            _try_losses(recipe, run, views, count)
        check_batch(recipe, run.losses, values.lonely(count))
        if recipe.clip is not None and run.clip is not None:
            with _told(recipe.clip, "on two gradients"):
                norms = run.clip([torch.ones(3, device=run.device), torch.ones(2, 2, device=run.device)])
            promises.check_norms(recipe.clip, norms, 2)


def _try_augmenter(recipe: Recipe, run: Run) -> None:
    channels = run.preprocess.channels
    noise = generator("dry run", run.seed).integers(0, 256, (channels, 48, 64), dtype=np.uint8)
    image = to_channels(Bands.from_array(noise, "first"), channels)
    for row, view in enumerate(run.augmenter.views):
        with _told(recipe.augment, "on an image of 64 x 48 pixels"):
            draws = run.augmenter.draw(view, *image.size, generator("dry run", run.seed, row))
            pixels = run.augmenter.render(image, view, draws)
        promises.check_view(recipe.augment, view, channels, pixels)


def _views(run: Run, classes: int | None, images_each: int) -> Views:
    specs = run.augmenter.views
    images = {}
    for size in dict.fromkeys(view.size for view in specs):
        count = sum(view.size == size for view in specs)
        images[size] = torch.randn(count, images_each, run.preprocess.channels, size, size, device=run.device)
    labels = None if classes is None else torch.zeros(images_each, dtype=torch.int64, device=run.device)
    return Views(specs, images, torch.arange(images_each, device=run.device), labels)


def _try_net(recipe: Recipe, net: Network, views: Views, images: int) -> None:
    rows: Tensor | None = None
    for view in {spec.size: spec for spec in views.for_student()}.values():
        with _told(recipe.backbone, f"on images of {view.size} pixels"), torch.no_grad():
            tokens = net.backbone(views.of(view.id))
        promises.check_tokens(recipe.backbone, tokens, images, net.backbone.embed_dim)
        rows = tokens.cls
    for spec, head in ((recipe.head, net.head), (recipe.predictor, net.predictor)):
        if spec is not None and head is not None and rows is not None:
            with _told(spec, f"on features of width {rows.shape[-1]}"), torch.no_grad():
                rows = head(rows)
            promises.check_projections(spec, rows, images, head.out_dim)


def _try_losses(recipe: Recipe, run: Run, views: Views, images: int) -> None:
    at = Position(0, 1, 1)
    with torch.no_grad():
        targets = run.teacher(views, views.for_teacher()) if run.teacher is not None else None
    outputs = run.student(views, views.for_student())
    for key, loss in run.losses.items():
        spec = recipe.losses[key].part
        with _told(spec, f"on {'two' if images == 2 else images} images"):
            terms = loss(outputs, targets, views, at)
        promises.check_terms(spec, terms)


@contextmanager
def _told(spec: PartSpec, what: str) -> Iterator[None]:
    try:
        yield
    except (UserError, RunError) as error:
        raise UserError(spec.located(str(error))) from error
    except Exception as error:
        raise spec.breach(f"it fails {what}: {type(error).__name__}: {error}") from error
