"""The contracts: what buf checks, that its checks can fail, and what DESIGN asks of every RPC."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

from local import contracts, stubs

BUF = Path(sys.executable).parent / "buf"


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    """A copy of the contracts that a test may change."""
    return Path(shutil.copytree(stubs.PROTOS, tmp_path / "protos"))


def change(protos: Path, file: str, old: str, new: str) -> None:
    path = protos / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_lint_passes() -> None:
    contracts.lint(stubs.PROTOS)


def test_lint_refuses_a_field_without_comment_and_a_camel_case_name(protos: Path) -> None:
    change(protos, "pergola/vector/v1/job.proto", "  // Id of the job.\n  string id", "  string jobId")
    with pytest.raises(contracts.ContractError, match=r"jobId.*non-empty comment"):
        contracts.lint(protos)


def test_nothing_breaks_the_released_contracts() -> None:
    contracts.breaking(stubs.PROTOS)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("int32 index = 4;", "int64 index = 4;", "changed type"),
        ("  // The passage itself.\n  string text = 3;\n", "", "was deleted"),
        ("rpc GetPoints(", "rpc FetchPoints(", "was deleted"),
    ],
)
def test_a_breaking_change_is_seen(protos: Path, old: str, new: str, complaint: str) -> None:
    change(protos, "pergola/vector/v1/point.proto", old, new)
    with pytest.raises(contracts.ContractError, match=complaint):
        contracts.breaking(protos)


def test_an_added_field_breaks_nothing(protos: Path) -> None:
    field = "message GetPointsRequest {"
    change(protos, "pergola/vector/v1/point.proto", field, f"{field}\n  // New.\n  string note = 99;")
    contracts.breaking(protos)


def descriptors() -> list[descriptor_pb2.FileDescriptorProto]:
    if not stubs.DESCRIPTORS.exists():
        stubs.generate()
    files = descriptor_pb2.FileDescriptorSet.FromString(stubs.DESCRIPTORS.read_bytes())
    return [file for file in files.file if file.package.startswith("pergola.")]


def test_every_rpc_is_a_verb_and_a_noun_and_unique_in_its_package() -> None:
    seen: set[tuple[str, str]] = set()
    for file in descriptors():
        for service in file.service:
            for method in service.method:
                assert re.fullmatch(r"[A-Z][a-z]+([A-Z][A-Za-z]*)?", method.name)
                assert (file.package, method.name) not in seen
                seen.add((file.package, method.name))
    assert len(seen) >= 20


def test_no_field_is_a_python_keyword() -> None:
    import keyword

    def names(message: descriptor_pb2.DescriptorProto) -> list[str]:
        nested = [name for child in message.nested_type for name in names(child)]
        return [field.name for field in message.field] + nested

    found = [name for file in descriptors() for message in file.message_type for name in names(message)]
    assert found
    assert not [name for name in found if keyword.iskeyword(name)]


def test_every_rpc_of_a_get_or_watch_is_marked_as_free_of_side_effects() -> None:
    # Retries between services and the reader role both follow from this mark.
    option = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    for file in descriptors():
        for service in file.service:
            for method in service.method:
                if re.match(r"(Get|List|Watch|Query|Search|Retrieve)", method.name):
                    assert method.options.idempotency_level == option, method.name


def test_every_http_path_is_below_api_or_v1_and_used_once() -> None:
    seen: set[tuple[str, str]] = set()
    for file in descriptors():
        for service in file.service:
            for method in service.method:
                rule = method.options.Extensions[annotations_pb2.http]
                verb = rule.WhichOneof("pattern")
                if verb is None:
                    continue
                path = getattr(rule, verb)
                assert path.startswith(("/api/", "/v1/"))
                assert (verb, path) not in seen
                seen.add((verb, path))
    assert len(seen) >= 20


def test_generated_stubs_are_up_to_date_with_the_contracts(tmp_path: Path) -> None:
    fresh = tmp_path / "fresh.binpb"
    stubs.descriptor_set(fresh)
    assert fresh.read_bytes() == stubs.DESCRIPTORS.read_bytes(), "run `make stubs`"


def test_buf_is_the_locked_one() -> None:
    version = subprocess.run([BUF, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    assert f"buf-bin=={version}" in (stubs.ROOT / "requirements" / "dev.txt").read_text("utf-8")
