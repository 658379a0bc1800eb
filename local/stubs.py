"""Generates what is made from the contracts: `python -m local.stubs`.

From `protos/` come the Python stubs, with types, inside the package `pergola` of `clients/python`, and
`build/pergola.binpb`, the descriptor set with all imports that Envoy and buf read. Nothing of it is committed.

The contracts import `buf/validate/validate.proto`, for which no package ships a Python module: it is generated too,
under `pergola._vendor`, so that another version of protovalidate in a user's environment does not clash with it.
"""

import importlib.resources
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import google.api.annotations_pb2
import grpc_tools
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
PACKAGE = ROOT / "clients" / "python" / "pergola"
DESCRIPTORS = ROOT / "build" / "pergola.binpb"
SERVICES = ("cache", "chat", "graph", "vector")
# Rich errors are written by the gateway's transcoder only when these are in its descriptor set.
ERROR_DETAILS = ("google/rpc/status.proto", "google/rpc/error_details.proto")
VALIDATE = "buf/validate/validate.proto"
VALIDATE_IMPORT = re.compile(r"^(from|import) buf\.validate", re.MULTILINE)


class StubsError(Exception):
    """The contracts could not be compiled; the text is protoc's."""


def contracts(root: Path = PROTOS) -> list[str]:
    """Paths of all contracts below `root`, as protoc wants them."""
    return sorted(path.relative_to(root).as_posix() for path in (root / "pergola").rglob("*.proto"))


def descriptor_set(output: Path, root: Path = PROTOS, *, source_info: bool = False) -> None:
    """Writes the descriptor set of the contracts below `root`, with imports, to `output`."""
    output.parent.mkdir(parents=True, exist_ok=True)
    arguments = ["--include_imports", f"--descriptor_set_out={output}"]
    if source_info:
        arguments.append("--include_source_info")
    _protoc([*arguments, *contracts(root), *ERROR_DETAILS], root)


def generate() -> None:
    """Generates the stubs and the descriptor set; replaces what was there in one move a folder."""
    # Beside the target, so that the move stays on one file system.
    with tempfile.TemporaryDirectory(prefix=".stubs-", dir=PACKAGE.parent) as folder:
        made = Path(folder)
        plugins = ["--python_out", "--grpc_python_out", "--mypy_out", "--mypy_grpc_out"]
        _protoc([*(f"{plugin}={made}" for plugin in plugins), *contracts()], PROTOS)
        vendored = made / "pergola" / "_vendor"
        vendored.mkdir()
        _protoc([f"--python_out={vendored}", f"--mypy_out={vendored}", VALIDATE], PROTOS)
        for file in made.rglob("*.py*"):
            file.write_text(VALIDATE_IMPORT.sub(r"\1 pergola._vendor.buf.validate", file.read_text("utf-8")), "utf-8")
        for directory in [path for path in (made / "pergola").rglob("*") if path.is_dir()]:
            (directory / "__init__.py").touch()
        for name in (*SERVICES, "_vendor"):
            shutil.rmtree(PACKAGE / name, ignore_errors=True)
            (made / "pergola" / name).rename(PACKAGE / name)
    descriptor_set(DESCRIPTORS)


def _protoc(arguments: Iterable[str], root: Path) -> None:
    google_api = Path(google.api.annotations_pb2.__file__).parents[2]
    well_known = importlib.resources.files(grpc_tools) / "_proto"
    with tempfile.NamedTemporaryFile(suffix=".binpb") as rules:
        validate = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
        files = descriptor_pb2.FileDescriptorSet(file=[_descriptor_proto(), validate])
        rules.write(files.SerializeToString())
        rules.flush()
        command = [
            f"-I{root}",
            f"-I{google_api}",
            f"-I{well_known}",
            f"--descriptor_set_in={rules.name}",
            *arguments,
        ]
        # A process of its own: protoc prints to its own stderr and ends the process on some errors. The plugins are
        # beside the interpreter, which need not be on PATH.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        done = subprocess.run(
            [sys.executable, "-m", protoc.__name__, *command],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PATH": path},
        )
    if done.returncode:
        raise StubsError(done.stderr.strip())


def _descriptor_proto() -> descriptor_pb2.FileDescriptorProto:
    """The file that validate.proto extends; a descriptor set must bring its own imports."""
    made = descriptor_pb2.FileDescriptorProto()
    descriptor_pb2.DESCRIPTOR.CopyToProto(made)
    return made


if __name__ == "__main__":
    try:
        generate()
    except StubsError as error:
        sys.exit(f"the contracts in protos/ do not compile:\n{error}")
