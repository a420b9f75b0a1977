"""Any text can be kept, and comes back."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from completions_mw.core.budgets.escape import escaped, restored

ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from("\x00\ufdd0\ud800\udfff;0d"))


@given(ANY_TEXT)
@example("\ufdd0d800;")
@example("\ufdd00;\x00")
def test_every_text_comes_back_and_is_storable(text: str) -> None:
    stored = escaped(text)
    assert b"\x00" not in stored.encode()
    assert restored(stored) == text


@given(ANY_TEXT, ANY_TEXT)
def test_texts_that_differ_still_differ(one: str, other: str) -> None:
    assert (escaped(one) == escaped(other)) == (one == other)


@pytest.mark.parametrize("text", ["", "plain", "ключ \U0001f511", "a\nb", "'%s:name"])
def test_usual_text_stays_as_it_is(text: str) -> None:
    assert escaped(text) == restored(text) == text


@pytest.mark.parametrize(("text", "stored"), [("\x00", "\ufdd00;"), ("\ud800", "\ufdd0d800;"), ("\ufdd0", "\ufdd0fdd0;")], ids=ascii)
def test_the_form_is_the_one_of_rows_and_files_that_are_there_already(text: str, stored: str) -> None:
    assert escaped(text) == stored
    assert restored(stored) == text
