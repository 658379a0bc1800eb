"""Which way an endpoint is reached."""

import pytest

from services.providers.openai_compatible.endpoint import proxy_for


@pytest.mark.parametrize(
    ("url", "proxied"),
    [
        ("http://127.0.0.1:11434/v1", False),
        ("http://localhost:11434/v1", False),
        ("http://[::1]:11434/v1", False),
        ("http://model.localhost/v1", False),
        ("https://models.example.org/v1", True),
        ("https://inside.example.net/v1", False),
    ],
)
def test_proxies_of_the_environment_are_not_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, url: str, proxied: bool
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://proxy.example.org:3128")
    monkeypatch.setenv("no_proxy", "example.net")
    assert proxy_for(url) == ("http://proxy.example.org:3128" if proxied else None)
