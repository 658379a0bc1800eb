"""Settings: where a value comes from, and what is said about a wrong one."""

import enum
import pickle
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from services.runtime.settings import Secret, ServiceSettings, SettingsError, is_loopback, load

SECRET = "hunter2-hunter2"


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Limits(msgspec.Struct, frozen=True):
    per_minute: Annotated[int, Meta(ge=1)]


class Made(ServiceSettings, frozen=True, kw_only=True):
    store_url: Annotated[str, Meta(pattern="^redis://", examples=["redis://127.0.0.1:6379/0"])]
    password: Secret
    workers: Annotated[int, Meta(ge=1, le=8)] = 2
    ratio: float = 0.5
    follow: bool = True
    mode: Literal["fast", "safe"] = "safe"
    colour: Colour = Colour.RED
    names: tuple[str, ...] = ()
    weights: dict[str, float] = {}  # noqa: RUF012 - msgspec copies an empty default
    limits: Limits | None = None
    folder: Path | None = None
    least: int = 0
    most: int = 10

    def problems(self) -> list[str]:
        return [*super().problems(), *(["least: more than most"] if self.least > self.most else [])]


BASE = {"PERGOLA_MADE_STORE_URL": "redis://h:1/0", "PERGOLA_MADE_PASSWORD": SECRET}


def made(**environ: str) -> Made:
    return load(Made, "made", BASE | environ)


def refused(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        made(**environ)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_the_services_own_name_comes_before_the_shared_one() -> None:
    assert made(PERGOLA_WORKERS="3").workers == 3
    assert made(PERGOLA_WORKERS="3", PERGOLA_MADE_WORKERS="4").workers == 4
    assert made(PERGOLA_WORKERS="3", PERGOLA_MADE_WORKERS="").workers == 3
    assert made(PERGOLA_OTHER_WORKERS="3").workers == 2


def test_every_type_is_read_from_text() -> None:
    settings = made(
        PERGOLA_MADE_RATIO="1",
        PERGOLA_MADE_FOLLOW="false",
        PERGOLA_MADE_MODE="fast",
        PERGOLA_MADE_COLOUR="blue",
        PERGOLA_MADE_NAMES=" a, b ,,c",
        PERGOLA_MADE_WEIGHTS='{"a": 1.5}',
        PERGOLA_MADE_LIMITS='{"per_minute": 3}',
        PERGOLA_MADE_FOLDER="~/x",
    )
    assert (settings.ratio, settings.follow, settings.mode, settings.colour) == (1.0, False, "fast", Colour.BLUE)
    assert (settings.names, settings.weights) == (("a", "b", "c"), {"a": 1.5})
    assert settings.limits == Limits(per_minute=3)
    assert settings.folder == Path.home() / "x"


def test_a_secret_comes_from_a_file_without_its_last_newline(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from-file\n")
    environ = {"PERGOLA_MADE_STORE_URL": "redis://h:1/0", "PERGOLA_PASSWORD_FILE": str(file)}
    assert load(Made, "made", environ).password.reveal() == "from-file"
    assert load(Made, "made", environ | {"PERGOLA_MADE_PASSWORD": "direct"}).password.reveal() == "direct"
    file.write_text("\n")
    with pytest.raises(SettingsError, match="PERGOLA_PASSWORD_FILE: the file is empty"):
        load(Made, "made", environ)
    file.unlink()
    with pytest.raises(SettingsError, match="can't be read"):
        load(Made, "made", environ)


def test_all_that_is_wrong_is_said_at_once() -> None:
    said = refused(
        PERGOLA_MADE_STORE_URL=f"http://user:{SECRET}@h",
        PERGOLA_MADE_WORKERS="9",
        PERGOLA_RATIO=SECRET,
        PERGOLA_MADE_MODE=SECRET,
        PERGOLA_MADE_COLOUR=SECRET,
        PERGOLA_MADE_WEIGHTS=f'{{"a": "{SECRET}"',
        PERGOLA_MADE_PASWORD=SECRET,
        PERGOLA_MADE_LIMITS='{"per_minute": 0}',
    )
    lines = {line.strip().partition(":")[0]: line.partition(":")[2].strip() for line in said.splitlines()[1:]}
    assert lines["PERGOLA_MADE_STORE_URL"] == "must look like redis://127.0.0.1:6379/0"
    assert "<= 8" in lines["PERGOLA_MADE_WORKERS"]
    assert "PERGOLA_RATIO" in lines
    assert lines["PERGOLA_MADE_MODE"] == "must be one of fast, safe"
    assert lines["PERGOLA_MADE_COLOUR"] == "must be one of red, blue"
    assert "PERGOLA_MADE_WEIGHTS" in lines
    assert lines["PERGOLA_MADE_PASWORD"].endswith("did you mean PERGOLA_MADE_PASSWORD?")
    assert ">= 1" in lines["PERGOLA_MADE_LIMITS"]


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Made, "made", {})
    assert "PERGOLA_MADE_STORE_URL: is required" in str(caught.value)
    assert "PERGOLA_MADE_PASSWORD: is required" in str(caught.value)


def test_a_problem_of_two_fields_is_said_by_the_variable_that_was_set() -> None:
    assert "PERGOLA_LEAST: more than most" in refused(PERGOLA_LEAST="11")


@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.com:1", "127.example.com:1"])
def test_only_loopback_without_callers(address: str) -> None:
    assert "PERGOLA_MADE_LISTEN: only a loopback address" in refused(PERGOLA_MADE_LISTEN=address)
    assert "PERGOLA_METRICS_LISTEN: only a loopback address" in refused(PERGOLA_METRICS_LISTEN=address)
    assert made(PERGOLA_MADE_LISTEN=address, PERGOLA_CALLERS_FILE="/some/file").listen == address


@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.1.2.3:9", "[::1]:9", "localhost:9"])
def test_loopback_is_known(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "wrong",
    [
        {"PERGOLA_TLS_KEY_FILE": "/k"},
        {"PERGOLA_TLS_CERTIFICATE_FILE": "/c"},
        {"PERGOLA_TLS_CLIENT_CA_FILE": "/ca"},
        {"PERGOLA_TLS_PEER_NAME": "x"},
        {"PERGOLA_LISTEN": "127.0.0.1"},
        {"PERGOLA_CACHE_ADDRESS": "a:1,,b:2"},
        {"PERGOLA_LOG_LEVEL": "loud"},
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong: dict[str, str]) -> None:
    assert next(iter(wrong)).removeprefix("PERGOLA_") in refused(**wrong)


@given(st.text(min_size=1).filter(lambda text: "\x00" not in text))
def test_a_secret_does_not_show_itself(value: str) -> None:
    secret = Secret(value)
    assert f"{secret} {secret!r} {[secret]}" == "Secret(…) Secret(…) [Secret(…)]"
    assert secret == Secret(value)
    assert secret.reveal() == value
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_settings_show_no_secret() -> None:
    assert SECRET not in repr(made())


def test_a_type_that_text_cannot_give_is_a_mistake_of_ours() -> None:
    class Odd(ServiceSettings, frozen=True, kw_only=True):
        thing: complex = 1j

    environ: dict[str, Any] = {"PERGOLA_ODD_THING": "1"}
    with pytest.raises(NotImplementedError):
        load(Odd, "odd", environ)
