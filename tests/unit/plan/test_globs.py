"""Globs: what they match, against a plain definition, and that no pattern makes a key expensive."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_batch.plan.globs import glob

_PLAIN = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "[ab]": "[ab]", "[!a]": "[^a]"}


@given(
    st.lists(st.sampled_from([*_PLAIN, "a", "b", "/", "."]), max_size=8),
    st.lists(st.text("ab/.", max_size=8), min_size=1, max_size=6),
)
def test_a_glob_matches_what_its_parts_say(tokens: list[str], keys: list[str]) -> None:
    # Neighbours can make another token (`*` and `*/`): read the pattern anew.
    parts = re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|.", "".join(tokens))
    plain = re.compile("".join(_PLAIN.get(part) or re.escape(part) for part in parts), re.DOTALL)
    test = glob("".join(tokens))
    assert [test(key) for key in keys] == [plain.fullmatch(key) is not None for key in keys]


@pytest.mark.parametrize(
    "pattern",
    ["**/*a*a*a*a*a*a*b.png", "*a*a*a*a*a*a*a*b", "**/a**/a**/a**/a**/a**b", "**a**a**a**a**a**b", "a**a*a*a*a**/b"],
)
def test_no_pattern_makes_a_key_expensive(pattern: str) -> None:
    test = glob(pattern)
    begun = time.process_time()
    assert not any(test(key) for key in ("a" * 1024, "a/" * 512, "a" * 1000 + "/" + "a" * 20))
    assert time.process_time() - begun < 2
