"""How addresses become targets, and what the service config says about retries."""

import json

import grpc
import pytest

from services.runtime import contracts
from services.runtime.channels import PeerChannel, service_config, targets


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ("127.0.0.1:1", ["ipv4:127.0.0.1:1"]),
        ("127.0.0.1:1, 10.0.0.1:2", ["ipv4:127.0.0.1:1,10.0.0.1:2"]),
        ("[::1]:1,[::1]:2", ["ipv6:[::1]:1,[::1]:2"]),
        ("vector.svc:1", ["dns:///vector.svc:1"]),
        ("vector-0:1,vector-1:1", ["dns:///vector-0:1", "dns:///vector-1:1"]),
        ("10.0.0.1:1,vector-1:1", ["dns:///10.0.0.1:1", "dns:///vector-1:1"]),
    ],
)
def test_targets(addresses: str, expected: list[str]) -> None:
    assert targets(addresses) == expected


@pytest.mark.parametrize("peer", contracts.SERVICES)
def test_only_what_may_be_repeated_is_retried(peer: str) -> None:
    config = json.loads(service_config(peer))
    assert config["loadBalancingConfig"] == [{"round_robin": {}}]
    (methods,) = config["methodConfig"]
    named = {f"{one['service']}/{one['method']}" for one in methods["name"]}
    for service in contracts.services_of(peer):
        for method in service.methods:
            may = contracts.idempotent(method) and not method.client_streaming
            assert (f"{service.full_name}/{method.name}" in named) is may
    assert methods["retryPolicy"]["maxAttempts"] == 2
    assert methods["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]


class Fake:
    """A channel in a given state."""

    def __init__(self, state: grpc.ChannelConnectivity) -> None:
        self.state = state

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        assert try_to_connect
        return self.state


def test_a_broken_target_is_passed_over_while_another_is_not() -> None:
    ready, broken = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE
    fakes = [Fake(ready), Fake(broken), Fake(grpc.ChannelConnectivity.IDLE)]
    channel = PeerChannel(fakes, None)  # type: ignore[arg-type]
    assert [channel.pick() for _ in range(6)] == [0, 2, 2, 0, 2, 2]
    for fake in fakes:
        fake.state = broken
    assert [channel.pick() for _ in range(3)] == [0, 1, 2]
