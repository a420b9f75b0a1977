import pytest

from completions_mw.core.limits.durations import go_duration


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0s"),
        (2, "2ms"),
        (120, "120ms"),
        (999, "999ms"),
        (1000, "1s"),
        (1001, "1.001s"),
        (1500, "1.5s"),
        (9816, "9.816s"),
        (10_010, "10.01s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (60_100, "1m0.1s"),
        (360_000, "6m0s"),
        (3_599_999, "59m59.999s"),
        (3_600_000, "1h0m0s"),
        (5_011_000, "1h23m31s"),
        (86_400_000, "24h0m0s"),
        (366 * 86_400_000, "8784h0m0s"),
        (-120, "-120ms"),
        (-90_000, "-1m30s"),
    ],
)
def test_durations_read_as_in_go(milliseconds: int, text: str) -> None:
    assert go_duration(milliseconds) == text
