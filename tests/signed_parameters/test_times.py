from datetime import UTC, datetime, timedelta, timezone

import pytest

from signed_parameters.times import format_time, parse_time


def test_a_time_has_one_form() -> None:
    time = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert parse_time("2027-01-02T03:04:05Z") == time
    assert format_time(time) == "2027-01-02T03:04:05Z"
    assert format_time(time.astimezone(timezone(timedelta(hours=-7))) + timedelta(microseconds=9)) == format_time(time)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2027-01-02",
        "2027-1-2T3:4:5Z",
        "2027-01-02T03:04:05",
        "2027-01-02T03:04:05+00:00",
        "2027-01-02T03:04:05.0Z",
        "2027-01-02t03:04:05z",
        "2027-02-30T00:00:00Z",
        "2027-01-01T24:00:00Z",
        "2027-01-01T00:00:60Z",
        "0999-01-01T00:00:00Z",
        " 2027-01-02T03:04:05Z",
        "2027-01-02T03:04:05Z\n",
        "٢٠٢٧-01-02T03:04:05Z",
    ],
)
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time in UTC, as 2027"):
        parse_time(text)
