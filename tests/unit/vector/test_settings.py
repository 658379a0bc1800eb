import pytest

from services.runtime.settings import SettingsError, load
from services.vector.settings import VectorSettings

_NEEDED = {
    "PERGOLA_VECTOR_POSTGRES_URL": "postgresql://127.0.0.1:5432/pergola_vector",
    "PERGOLA_VECTOR_POSTGRES_OWNER_USER": "owner",
    "PERGOLA_VECTOR_POSTGRES_OWNER_PASSWORD": "o",
    "PERGOLA_VECTOR_POSTGRES_APP_USER": "app",
    "PERGOLA_VECTOR_POSTGRES_APP_PASSWORD": "a",
}
_ENDPOINT = {
    "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_URL": "http://127.0.0.1:11434/v1",
    "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_MODEL": "bge-m3",
    "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_DIMENSION": "1024",
}


def test_defaults_are_enough_beside_the_database() -> None:
    settings = load(VectorSettings, "vector", _NEEDED)
    assert settings.embedding_model == "all-minilm-l6-v2"
    assert settings.embedding_endpoint_url is None


def test_an_endpoint_may_be_the_default_model() -> None:
    settings = load(VectorSettings, "vector", _NEEDED | _ENDPOINT | {"PERGOLA_VECTOR_EMBEDDING_MODEL": "bge-m3"})
    assert settings.embedding_endpoint_dimension == 1024


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"POSTGRES_URL": "mysql://x"}, "POSTGRES_URL"),
        ({"POSTGRES_URL": "postgresql://user:secret-word@host/db"}, "POSTGRES_URL"),
        ({"POSTGRES_APP_USER": 'app"; DROP'}, "POSTGRES_APP_USER"),
        ({"EMBEDDING_MODEL": "bge-m3"}, "PERGOLA_VECTOR_EMBEDDING_MODEL"),
        ({"EMBEDDING_ENDPOINT_URL": "http://127.0.0.1:1/v1"}, "EMBEDDING_ENDPOINT_MODEL"),
        ({"EMBEDDING_ENDPOINT_DIMENSION": "0"}, "EMBEDDING_ENDPOINT_DIMENSION"),
        ({"CHUNK_TOKENS": "50", "CHUNK_OVERLAP_TOKENS": "30"}, "CHUNK_OVERLAP_TOKENS"),
        ({"WORKERS": "-1"}, "WORKERS"),
        ({"NO_SUCH": "1"}, "NO_SUCH"),
    ],
)
def test_what_can_not_be_used_is_named(changed: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        load(VectorSettings, "vector", _NEEDED | {f"PERGOLA_VECTOR_{name}": value for name, value in changed.items()})
    assert "secret-word" not in str(caught.value)
