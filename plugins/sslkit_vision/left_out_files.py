"""Files in a folder of images that are left out for their type: which of them a person should know about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

#: Types that lie beside images and are hardly meant as some: texts, tables, annotations, programs, archives, weights.
_BESIDE = frozenset({
    ".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xml", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf",
    ".md", ".rst", ".tex", ".bib", ".html", ".htm", ".css", ".js", ".log", ".py", ".pyc", ".ipynb", ".sh", ".bat",
    ".m", ".r", ".c", ".cpp", ".h", ".java", ".mat", ".pkl", ".pickle", ".h5", ".hdf5", ".npz", ".pt", ".pth",
    ".safetensors", ".onnx", ".parquet", ".arrow", ".feather", ".sqlite", ".db", ".zip", ".tar", ".gz", ".tgz",
    ".bz2", ".xz", ".zst", ".7z", ".rar", ".lst", ".list", ".idx", ".names", ".data", ".doc", ".docx", ".odt", ".xls",
    ".xlsx", ".ods", ".ppt", ".pptx", ".md5", ".sha1", ".sha256", ".sig", ".asc", ".url", ".lnk", ".desktop", ".xmp",
    ".thm", ".aae", ".lock", ".license", ".in", ".info",
})  # fmt: skip
#: Files without an extension that are texts; others in capitals (README, LICENSE) are taken for texts too.
_TEXTS = frozenset({"makefile", "dockerfile", "readme", "license", "changelog", "checksums", "md5sums", "classes"})

_CAMERA = (
    ".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".kdc", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw",
    ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip
_HINTS: Mapping[str, str] = {
    **dict.fromkeys((".heic", ".heif", ".hif"), "read once pillow-heif is installed: pip install pillow-heif"),
    ".avif": "read once pillow-avif-plugin is installed: pip install pillow-avif-plugin",
    ".jxl": "read once pillow-jxl-plugin is installed: pip install pillow-jxl-plugin",
    **dict.fromkeys(_CAMERA, "raw files of a camera: convert them to JPEG or TIFF, for example with darktable-cli"),
    **dict.fromkeys((".svg", ".pdf", ".eps", ".ai", ".wmf", ".emf"), "drawings: convert them to PNG"),
    **dict.fromkeys(
        (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"),
        "videos: write their frames to files, for example with ffmpeg",
    ),
    **dict.fromkeys((".dcm", ".nii", ".mha", ".nrrd", ".exr", ".hdr"), "convert them to 16-bit PNG or TIFF, or .npy"),
}


def left_out(files: Sequence[str], kinds: Collection[str]) -> dict[str, int]:
    """How many files of each type are no images here, although they may be meant as some; the most frequent first.

    Args:
        files: paths below a folder.
        kinds: the types that are taken, in lower case.

    Returns:
        numbers by extension in lower case, ``""`` without one. Types that hold no images are left out.
    """
    # from the last dot on: splitext takes as long as listing the files does
    ends = Counter(name[name.rfind(".") :] if "." in name else "" for name in files)
    found: Counter[str] = Counter()
    for end, count in ends.items():
        kind = "" if "/" in end else end.lower()
        if kind and kind not in kinds and kind not in _BESIDE:
            found[kind] += count
    if any(not end or "/" in end for end in ends):
        found[""] = sum(_meant_as_image(name.rpartition("/")[2]) for name in files)
    return {kind: count for kind, count in found.most_common() if count}


def _meant_as_image(name: str) -> bool:
    """Whether a file's name has no extension, and is not that of a text."""
    return "." not in name and not name.isupper() and name.lower() not in _TEXTS


def left_out_in_words(found: Mapping[str, int], counted: bool = True) -> str:
    """Types and their numbers in words, with what makes such files readable."""
    words = []
    for kind, count in list(found.items())[:5]:
        hint = f" ({_HINTS[kind]})" if kind in _HINTS else ""
        number = f"{count:,} x " if counted else ""
        words.append(f"{number}{kind or 'without an extension'}{hint}")
    rest = sum(list(found.values())[5:])
    return "; ".join(words) + (f"; {rest:,} of other types" if rest else "")
