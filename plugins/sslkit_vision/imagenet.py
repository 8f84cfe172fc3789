"""ImageNet, from a folder that is there already."""

from __future__ import annotations

from typing import Annotated

from sslkit.errors import UserError
from sslkit.parts import Dataset, Effect, Images, PathOption, Split
from sslkit_vision.image_finder import ImageFinder
from sslkit_vision.image_folder import existing_folder, open_listing, train_and_test
from sslkit_vision.split_folders import find_splits


class ImageNet(Dataset):
    """ImageNet-1k (or any set laid out like it), unpacked: ``train/CLASS/*.JPEG`` and ``val/CLASS/*.JPEG``.

    Nothing is downloaded. The validation images must lie in class folders as the training images do.

    Args:
        root: the folder that holds ``train/`` and ``val/``.
        listing: a file that remembers the names found, as for ``image_folder``.
    """

    def __init__(
        self, root: PathOption = "data/imagenet", listing: Annotated[PathOption | None, Effect.NONE] = None
    ) -> None:
        expected = "expected a folder with train/CLASS/*.JPEG and val/CLASS/*.JPEG"
        try:
            folder = existing_folder(root)
        except UserError as error:
            raise UserError(f"{error}; {expected} (ImageNet-1k, unpacked); set data.root to where yours is") from error
        finder = ImageFinder(open_listing(listing))
        splits = find_splits(folder, finder)
        if splits is None or splits.test is None:
            missing = "val/" if splits is not None else "train/ and no val/"
            raise UserError(f"root is {root!r}: it has no {missing}; {expected}")
        self._splits = train_and_test(splits.train, splits.test, finder)
        for which, images in self._splits.items():
            if images.classes is None:
                raise UserError(f"the {which} images below {folder} do not lie in class folders; {expected}")

    def split(self, which: Split) -> Images | None:
        """The images of a split: ``test`` is ImageNet's ``val``."""
        return self._splits[which]
