"""The smallest batch that a recipe's nets and losses can learn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sslkit.engine.run import Run
from sslkit.errors import UserError
from sslkit.parts.collectives import world_size
from sslkit.parts.loss import Loss
from sslkit.recipe.model import Recipe


class BatchNormValues:
    """Counts how many values of a channel each BatchNorm normalises at a time.

    Args:
        run: whose nets are looked at, in the mode in which they train: a BatchNorm that is frozen needs no batch.
    """

    def __init__(self, run: Run) -> None:
        nets = {"student": run.student} if run.teacher is None else {"student": run.student, "teacher": run.teacher}
        self._modules = {
            f"{name}.{path}": module
            for name, net in nets.items()
            for path, module in net.named_modules()
            if isinstance(module, _BatchNorm) and module.training
        }
        self._least: dict[str, int] = {}

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count during the forward passes of a block."""
        with ExitStack() as stack:
            for name, module in self._modules.items():
                stack.callback(module.register_forward_pre_hook(partial(self._note, name)).remove)
            yield

    def _note(self, name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].numel() // inputs[0].shape[1]
        self._least[name] = min(values, self._least.get(name, values))

    def lonely(self, images: int) -> list[str]:
        """The BatchNorms that see a single value of a channel in one image, which they would normalise to 0.

        Args:
            images: of the forward passes that were counted.
        """
        return [name for name in self._modules if self._least.get(name, images + 1) <= images]


def images_needed(losses: Mapping[str, Loss]) -> int:
    """How many images all losses can be computed of."""
    return max((loss.images_needed() for loss in losses.values()), default=1)


def check_batch(recipe: Recipe, losses: Mapping[str, Loss], lonely: list[str]) -> None:
    """Whether the images that are computed together are enough.

    They are a micro-batch over all processes: losses and BatchNorm look at other processes' images too.

    Args:
        recipe: with the batch.
        losses: the built losses.
        lonely: see :meth:`BatchNormValues.lonely`.

    Raises:
        UserError: with the least batch, if they are not.
    """
    train, ranks = recipe.train, world_size()
    together = train.batch_size // train.micro_batches
    needs = {f"the loss {recipe.losses[key].part.name!r}": loss.images_needed() for key, loss in losses.items()}
    needs |= {f"BatchNorm ({name})": 2 for name in lonely[:1]}
    needs = {who: count for who, count in needs.items() if count > together}
    if not needs:
        return
    most = max(needs.values())
    shares = ranks * train.micro_batches
    least = shares * -(-most // ranks)
    parts = f" in {train.micro_batches} micro-batches" if train.micro_batches > 1 else ""
    spread = f" over {ranks} processes" if ranks > 1 else ""
    fewer = " or fewer train.micro_batches" if train.micro_batches > 1 else ""
    raise UserError(
        f"{recipe.place('train.batch_size')}: {train.batch_size}{parts}{spread} is {together} "
        f"{'image' if together == 1 else 'images'} at a time, and {' and '.join(needs)} "
        f"{'learns' if len(needs) == 1 else 'learn'} nothing from fewer than {most}, which are compared with each "
        f"other: use at least {least}{fewer}"
    )
