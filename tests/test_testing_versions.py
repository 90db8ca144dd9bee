from __future__ import annotations

import pytest

from comfy_trio.testing._versions import capabilities


def test_each_capability_appears_with_its_release() -> None:
    assert not capabilities("0.3.56").targeted_interrupt
    assert capabilities("0.3.57").targeted_interrupt
    assert not capabilities("0.24.9").uuid_prompt_ids
    assert capabilities("v0.25.0").uuid_prompt_ids
    assert capabilities("1.0.0").job_cancel


def test_features_grow() -> None:
    assert capabilities("0.3.64").features(7) == {
        "supports_preview_metadata": True,
        "max_upload_size": 7,
    }
    assert capabilities("0.14.0").features(7) == {
        "supports_preview_metadata": True,
        "max_upload_size": 7,
        "extension": {"manager": {"supports_v4": True}},
        "node_replacements": True,
    }


@pytest.mark.parametrize("text", ["", "0.27", "latest", "0.27.0-rc1"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^version must look like '0\.27\.0', not "):
        capabilities(text)


def test_too_old_a_version_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^version must be at least 0\.3\.45, not '0\.3\.40'$"):
        capabilities("0.3.40")
