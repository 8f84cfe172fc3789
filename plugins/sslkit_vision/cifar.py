"""CIFAR from files that are there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sslkit.errors import UserError
from sslkit.parts import Dataset, Images, PathOption, Split
from sslkit_vision.array_images import ArrayImages

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10


class Cifar10(Dataset):
    """CIFAR-10 (Krizhevsky 2009): 50,000 and 10,000 colour images of 32 x 32 pixels, 10 classes.

    Read by torchvision, which checks their MD5 sums before it opens them; nothing is downloaded.

    Args:
        root: the folder that holds ``cifar-10-batches-py/`` (from ``cifar-10-python.tar.gz``).
    """

    def __init__(self, root: PathOption = "data") -> None:
        from torchvision.datasets import CIFAR10  # here: slow to import

        self._splits = _read(CIFAR10, root, "cifar-10-python.tar.gz")

    def split(self, which: Split) -> Images | None:
        """The images of a split."""
        return self._splits[which]


class Cifar100(Dataset):
    """CIFAR-100 (Krizhevsky 2009): 50,000 and 10,000 colour images of 32 x 32 pixels, 100 classes.

    Read by torchvision, which checks their MD5 sums before it opens them; nothing is downloaded.

    Args:
        root: the folder that holds ``cifar-100-python/`` (from ``cifar-100-python.tar.gz``).
    """

    def __init__(self, root: PathOption = "data") -> None:
        from torchvision.datasets import CIFAR100  # here: slow to import

        self._splits = _read(CIFAR100, root, "cifar-100-python.tar.gz")

    def split(self, which: Split) -> Images | None:
        """The images of a split."""
        return self._splits[which]


def _read(kind: type[CIFAR10], root: str, archive: str) -> dict[str, ArrayImages]:
    splits = {}
    for which in ("train", "test"):
        try:
            found = kind(root, train=which == "train", download=False)
        except (RuntimeError, OSError) as error:
            raise UserError(
                f"root is {root!r}: expected {kind.base_folder}/ in it, as unpacked from {archive}: "
                "files are missing or damaged"
            ) from error
        splits[which] = ArrayImages(found.data, found.targets, tuple(found.classes))
    return splits
