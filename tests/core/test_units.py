"""Units: what people read and type, and that the exact forms come back to the very same value."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core import units

MICROSECOND = timedelta(microseconds=1)
durations = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=999_999_999))
times = st.datetimes(timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("80GB", 80 * 10**9),
        ("38.2 MB", 38_200_000),
        ("38.2mb", 38_200_000),
        ("142 kB", 142_000),
        ("5MiB", 5 * 2**20),
        ("1.5 KiB", 1536),
        (" 512 B ", 512),
        ("0B", 0),
        ("400GB", 400 * 10**9),
    ],
)
def test_sizes_are_read(text, size_bytes):
    assert units.parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "80", "GB", "-1GB", "1,5GB", "80 gigs", "8 0GB", "1e3B", "٣GB", "1Gb/s", "9" * 99 + "B"]
)
def test_what_is_not_a_size_is_refused(text):
    with pytest.raises(ValueError, match="is not a size: write a number and a unit, such as 80GB"):
        units.parse_size(text)


def test_a_part_of_a_byte_is_refused():
    with pytest.raises(ValueError, match=r"^'0.0001 kB' is not a whole number of bytes$"):
        units.parse_size("0.0001 kB")


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (142_000, "142 kB"),
        (1_100_000, "1.1 MB"),
        (14_249_999, "14.2 MB"),
        (38_200_000, "38.2 MB"),
        (96_000_000, "96 MB"),
        (99_950_000, "100 MB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (3_400_000_000, "3.4 GB"),
        (10**18, "1000 PB"),
        (-1500, "-1.5 kB"),
    ],
)
def test_sizes_are_written_for_people(size_bytes, text):
    assert units.format_size(size_bytes) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0B"), (80 * 10**9, "80GB"), (5 * 2**20, "5MiB"), (1001, "1001B")]
)
def test_sizes_are_written_for_files(size_bytes, text):
    assert units.exact_size(size_bytes) == text


def test_a_negative_size_cannot_be_written_for_a_file():
    with pytest.raises(ValueError, match="a size cannot be negative"):
        units.exact_size(-1)


@given(st.integers(min_value=0, max_value=10**20 - 1))
def test_the_exact_size_reads_back(size_bytes):
    assert units.parse_size(units.exact_size(size_bytes)) == size_bytes


@given(st.integers(min_value=0, max_value=10**18))
def test_the_rounded_size_is_near(size_bytes):
    assert abs(units.parse_size(units.format_size(size_bytes)) - size_bytes) <= size_bytes * 0.05


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("24h", timedelta(hours=24)),
        ("30m", timedelta(minutes=30)),
        ("30d", timedelta(days=30)),
        ("720h", timedelta(days=30)),
        ("2w", timedelta(days=14)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
        ("3 m 10 s", timedelta(seconds=190)),
        ("4.6 s", timedelta(seconds=4, milliseconds=600)),
        ("500ms", timedelta(milliseconds=500)),
        ("0s", timedelta(0)),
    ],
)
def test_durations_are_read(text, duration):
    assert units.parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "24", "h", "24 hours", "30m1h", "1h1h", "-1h", "1h,30m", "1y", "٣h"])
def test_what_is_not_a_duration_is_refused(text):
    with pytest.raises(ValueError, match="is not a duration: write numbers and units"):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "why"), [("0.0000001s", "is finer than a microsecond"), ("999999999999w", "is too long")]
)
def test_durations_that_cannot_be_held_are_refused(text, why):
    with pytest.raises(ValueError, match=f"^'{text}' {why}$"):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0004, "1 ms"),
        (0.04, "40 ms"),
        (0.8, "0.8 s"),
        (4.6, "4.6 s"),
        (6.0, "6 s"),
        (9.96, "10 s"),
        (41, "41 s"),
        (59.6, "1 m"),
        (190, "3 m 10 s"),
        (3599.6, "1 h"),
        (24 * 3600, "24 h"),
        (31 * 3600, "31 h"),
        (65 * 60, "1 h 5 m"),
        (51 * 3600, "2 d 3 h"),
        (720 * 3600, "30 d"),
        (-4.6, "-4.6 s"),
        (timedelta(minutes=30), "30 m"),
    ],
)
def test_durations_are_written_for_people(seconds, text):
    assert units.format_duration(seconds) == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(hours=720), "30d"),
        (timedelta(hours=24), "24h"),
        (timedelta(hours=47), "47h"),
        (timedelta(hours=49), "2d1h"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(0), "0s"),
        (timedelta(seconds=60), "1m"),
        (timedelta(milliseconds=1500), "1.5s"),
    ],
)
def test_durations_are_written_for_files(duration, text):
    assert units.exact_duration(duration) == text


def test_a_negative_duration_cannot_be_written_for_a_file():
    with pytest.raises(ValueError, match="a duration cannot be negative"):
        units.exact_duration(-MICROSECOND)


@given(durations)
def test_the_exact_duration_reads_back(duration):
    assert units.parse_duration(units.exact_duration(duration)) == duration


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10_000)))
def test_the_rounded_duration_is_near(duration):
    near = units.parse_duration(units.format_duration(duration))
    assert abs(near - duration) <= duration * 0.06 + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "just now"),
        (41.9, "41 s ago"),
        (119, "1 m ago"),
        (5 * 3600 + 3599, "5 h ago"),
        (31 * 3600, "31 h ago"),
        (48 * 3600, "2 d ago"),
        (-5 * 3600, "in 5 h"),
    ],
)
def test_ages(seconds, text):
    now = datetime(2026, 11, 23, 7, 12, tzinfo=UTC)
    assert units.format_age(now - timedelta(seconds=seconds), now) == text


def test_times_are_read_and_written():
    time = datetime(2026, 11, 23, 7, 12, 4, tzinfo=UTC)
    assert units.parse_time("2026-11-23T07:12:04Z") == time
    assert units.parse_time("2026-11-23T09:12:04+02:00") == time
    assert units.parse_time("2026-11-23T09:12:04+02:00").tzinfo is UTC
    assert units.exact_time(time.astimezone(timezone(timedelta(hours=2)))) == "2026-11-23T07:12:04Z"
    assert units.format_time(time) == "2026-11-23 07:12 UTC"
    assert units.format_stamp(time) == "20261123-071204"
    assert units.parse_stamp("20261123-071204") == time


@pytest.mark.parametrize("text", ["", "2026-11-23", "2026-11-23T07:12:04", "2026-11-23 07:12:04Z", "20261123T071204Z"])
def test_what_is_not_a_time_is_refused(text):
    with pytest.raises(ValueError, match="is not a time such as 2026-11-23T03:00:04Z"):
        units.parse_time(text)


@pytest.mark.parametrize("text", ["2026-02-30T07:12:04Z", "2026-11-23T24:60:04Z", "0001-01-01T00:00:00+14:00"])
def test_times_that_never_were_are_refused(text):
    with pytest.raises(ValueError, match="is not a time: there is no such day or hour"):
        units.parse_time(text)


@pytest.mark.parametrize("text", ["", "20261123", "20261123-0712", "2026112-3071204", "٢0261123-071204"])
def test_what_is_not_a_stamp_is_refused(text):
    with pytest.raises(ValueError, match="is not a stamp such as 20260211-154344"):
        units.parse_stamp(text)


def test_a_stamp_of_no_day_is_refused():
    with pytest.raises(ValueError, match=r"^'20260230-000000' is not a stamp: there is no such day or time$"):
        units.parse_stamp("20260230-000000")


@pytest.mark.parametrize("write", [units.exact_time, units.format_time, units.format_stamp])
def test_a_time_without_its_offset_is_refused(write):
    with pytest.raises(ValueError, match="without its offset"):
        write(datetime(2026, 11, 23))  # noqa: DTZ001


@given(times)
def test_the_exact_time_reads_back(time):
    assert units.parse_time(units.exact_time(time)) == time


@given(times, times)
def test_stamps_read_back_to_the_second_and_sort_as_time_does(first, second):
    assert units.parse_stamp(units.format_stamp(first)) == first.replace(microsecond=0)
    assert (units.format_stamp(first) <= units.format_stamp(second)) == (
        first.replace(microsecond=0) <= second.replace(microsecond=0)
    )


def test_counts_and_lists():
    assert units.format_count(412_118) == "412,118"
    assert units.counted(1, "table") == "1 table"
    assert units.counted(412_118, "row") == "412,118 rows"
    assert units.counted(2, "index", "indexes") == "2 indexes"
    assert units.listed([]) == ""
    assert units.listed(["a"]) == "a"
    assert units.listed(["a", "b", "c"], repr) == "'a', 'b' and 'c'"
    assert units.listed(["a", "b"], last="or") == "a or b"
