import pytest

from services.runtime import paging
from services.runtime.errors import InvalidPageToken


def test_a_token_is_good_for_its_list_alone() -> None:
    token = paging.encode("last", "acme", "ListJobs", "docs")
    assert paging.decode(token, "acme", "ListJobs", "docs") == "last"
    for scope in (("globex", "ListJobs", "docs"), ("acme", "ListJobs", ""), ("acme", "ListCollections", "docs")):
        with pytest.raises(InvalidPageToken):
            paging.decode(token, *scope)


@pytest.mark.parametrize("token", ["", "%%%", "ab", "AAAA", "bm9uc2Vuc2U", "\u00e9", "W10"])
def test_nonsense_is_refused(token: str) -> None:
    with pytest.raises(InvalidPageToken):
        paging.decode(token, "acme")
