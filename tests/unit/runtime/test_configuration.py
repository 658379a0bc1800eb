"""docs/configuration.md says what the settings classes say."""

from pathlib import Path

import msgspec
import pytest

from services.runtime import configuration
from services.runtime.settings import ServiceSettings


def test_every_setting_of_every_process_is_on_the_page() -> None:
    text = configuration.page()
    found = dict(configuration.classes())
    assert set(found) >= {"cache", "vector", "graph", "chat", "gateway"}
    for name, cls in found.items():
        for field in msgspec.structs.fields(cls):
            own = f"`PERGOLA_{name.upper()}_{field.name.upper()}`" in text
            shared = f"`PERGOLA_{field.name.upper()}`" in text and issubclass(cls, ServiceSettings)
            assert own or shared, f"{name}.{field.name}"


def test_every_setting_says_what_it_is() -> None:
    for row in configuration.page().splitlines():
        if row.startswith("| `PERGOLA_"):
            assert len(row.rsplit("|", 2)[1].strip()) > 10, row


def test_the_pages_are_up_to_date() -> None:
    assert configuration.main(["--check"]) == 0, "run python -m services.runtime.configuration"


def test_check_notices_a_page_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (configuration.DOCS / "runtime.md").read_text()
    (tmp_path / "runtime.md").write_text(text.replace("RATE_LIMITED", "RATE"))
    monkeypatch.setattr(configuration, "DOCS", tmp_path)
    assert configuration.main(["--check"]) == 1
    assert "docs/configuration.md, docs/runtime.md" in capsys.readouterr().err
    assert configuration.main([]) == 0
    assert configuration.main(["--check"]) == 0
    assert (tmp_path / "runtime.md").read_text() == text
