"""Checks of the contracts: `python -m local.contracts lint | breaking | release`.

buf reads a descriptor image that protoc built, because its own way to the imports is a registry on the network. What is
released is kept in `protos/released.binpb`, which `release` writes: a check against the sources themselves could not
fail.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from local import stubs

RELEASED = stubs.PROTOS / "released.binpb"
OURS = ("--path", "pergola")
RULES = stubs.ROOT / "buf.yaml"


class ContractError(Exception):
    """A rule is broken; the text is buf's list."""


def lint(root: Path = stubs.PROTOS) -> None:
    """Holds the contracts below `root` to STANDARD and COMMENTS; ContractError lists what is not."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "image.binpb")
        stubs.descriptor_set(image, root, source_info=True)
        _buf("lint", image, *OURS)


def breaking(root: Path = stubs.PROTOS) -> None:
    """Compares the contracts below `root` with the released ones; ContractError lists what a caller would notice."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "image.binpb")
        stubs.descriptor_set(image, root)
        _buf("breaking", image, "--against", RELEASED, *OURS)


def release() -> None:
    """Makes the contracts of today the baseline; refuses when they break the one before."""
    if RELEASED.exists():
        breaking()
    stubs.descriptor_set(RELEASED)


def _buf(*arguments: str | Path) -> None:
    buf = Path(sys.executable).parent / "buf"
    done = subprocess.run([buf, *arguments, "--config", RULES], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ContractError((done.stdout + done.stderr).strip())


if __name__ == "__main__":
    commands = {"lint": lint, "breaking": breaking, "release": release}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit("usage: python -m local.contracts lint | breaking | release")
    try:
        commands[sys.argv[1]]()
    except (ContractError, stubs.StubsError) as error:
        sys.exit(str(error))
