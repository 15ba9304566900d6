from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from venice_batch.errors import ItemError
from venice_batch.imaging import verify
from venice_batch.imaging.facts import READ_FORMATS

# What production ignores at import, pytest's own filters turn back on: remarks of Pillow on damaged files.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

# PSD is missing: Pillow reads it only.
MODES = {"PNG": "RGBA", "WEBP": "RGBA", "TGA": "RGBA", "GIF": "P"}
WRITABLE = [name for name in (*READ_FORMATS, "MPO") if name != "PSD"]


def sample(name: str) -> bytes:
    image = Image.linear_gradient("L").resize((40, 30)).convert("RGB").convert(MODES.get(name, "RGB"))
    buffer = io.BytesIO()
    if name == "TIFF":
        image.save(buffer, format=name, compression="tiff_lzw")
    else:
        image.save(buffer, format=name)
    return buffer.getvalue()


SAMPLES = {name: sample(name) for name in WRITABLE}


@pytest.mark.parametrize("name", WRITABLE)
def test_an_intact_sample_of_every_format_is_accepted(name: str, tmp_path: Path) -> None:
    path = tmp_path / "intact"
    path.write_bytes(SAMPLES[name])
    assert verify(path).size == (40, 30)


@pytest.mark.parametrize("name", WRITABLE)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_of_any_kind_ends_in_facts_or_in_an_item_error(name: str, tmp_path: Path, data: st.DataObject) -> None:
    damaged = bytearray(SAMPLES[name])
    for at in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=6)):
        damaged[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(bytes(damaged[: data.draw(st.integers(1, len(damaged)))]))
    code = ""
    try:
        assert verify(path).pixels > 0
    except ItemError as error:
        code = error.code
    assert code in {"", "broken", "not-a-picture", "too-large"}
