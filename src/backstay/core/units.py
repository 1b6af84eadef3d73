"""Sizes, durations, times, counts and ages: one way to read each, one way to write each.

Two forms are written. The *people* form (``38.2 MB``, ``3 m 10 s``, ``5 h ago``) is rounded, for the eye; the
*exact* form (``80GB``, ``1h30m``, ``2026-11-23T03:00:04Z``) reads back to the very same value, for files.
What cannot be read raises ``ValueError`` with a sentence that can be shown as it is; callers add where it stood.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from backstay.core.model import STAMP

DECIMAL_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
BINARY_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")
DURATION_UNITS = (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))

_FACTORS: dict[str, int] = {unit: 1000**power for power, unit in enumerate(DECIMAL_UNITS)}
_FACTORS |= {unit: 1024 ** (power + 1) for power, unit in enumerate(BINARY_UNITS)}
_ANY_CASE = {unit.lower(): factor for unit, factor in _FACTORS.items()}
_SECONDS = dict(DURATION_UNITS) | {"ms": Fraction(1, 1000)}
_SIZE = re.compile(r"(\d{1,20}(?:\.\d{1,20})?) ?([A-Za-z]{1,3})", re.ASCII)
_DURATION = re.compile(r"(?:\d{1,12}(?:\.\d{1,9})? ?(?:ms|[wdhms]) ?)+", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?) ?(ms|[wdhms])", re.ASCII)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?(?:Z|[+-]\d{2}:\d{2})", re.ASCII)
_STAMP = re.compile(r"\d{8}-\d{6}", re.ASCII)


def parse_size(text: str) -> int:
    """Bytes in ``80GB``, ``38.2 MB``, ``512 B`` (powers of ten), ``5MiB`` (powers of two); in any case.

    Raises ``ValueError`` without a known unit, or when it is not a whole number of bytes.
    """
    match = _SIZE.fullmatch(text.strip())
    factor = _ANY_CASE.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f"{text!r} is not a size: write a number and a unit, such as 80GB, 38.2MB or 5MiB")
    size = Fraction(match[1]) * factor
    if size.denominator != 1:
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return size.numerator


def format_size(size_bytes: int) -> str:
    """For people: ``38.2 MB``, ``142 kB``, ``512 B``: powers of ten, one decimal below a hundred."""
    if size_bytes < 0:
        return f"-{format_size(-size_bytes)}"
    if size_bytes < 1000:
        return f"{size_bytes} B"
    unit = 1
    while unit < len(DECIMAL_UNITS) - 1 and _half_up(Fraction(size_bytes, 1000**unit)) >= 1000:
        unit += 1
    return f"{_three_digits(Fraction(size_bytes, 1000**unit))} {DECIMAL_UNITS[unit]}"


def exact_size(size_bytes: int) -> str:
    """For files: the largest unit that divides it, ``80GB`` or ``5MiB``; ``parse_size`` reads it back.

    Raises ``ValueError`` for a negative size.
    """
    if size_bytes < 0:
        raise ValueError("a size cannot be negative")
    whole = [unit for unit in (*DECIMAL_UNITS, *BINARY_UNITS) if size_bytes % _FACTORS[unit] == 0]
    unit = max(whole, key=_FACTORS.__getitem__) if size_bytes else "B"
    return f"{size_bytes // _FACTORS[unit]}{unit}"


def parse_duration(text: str) -> timedelta:
    """``24h``, ``30m``, ``30d``, ``2w``, ``1h30m``, ``500ms``, also ``3 m 10 s`` as people see it.

    Raises ``ValueError`` for a unit that is missing, twice or out of order, and for what is too long.
    """
    trimmed = text.strip()
    parts: list[tuple[str, str]] = _DURATION_PART.findall(trimmed) if _DURATION.fullmatch(trimmed) else []
    sizes = [_SECONDS[unit] for _, unit in parts]
    if not parts or any(first <= second for first, second in pairwise(sizes)):
        raise ValueError(
            f"{text!r} is not a duration: write numbers and units (w, d, h, m, s), such as 30d, 24h or 1h30m"
        )
    microseconds = sum((Fraction(number) * _SECONDS[unit] for number, unit in parts), Fraction()) * 1_000_000
    if microseconds.denominator != 1:
        raise ValueError(f"{text!r} is finer than a microsecond")
    try:
        return timedelta(microseconds=microseconds.numerator)  # an int: a float would not be exact
    except OverflowError:
        raise ValueError(f"{text!r} is too long") from None


def format_duration(duration: timedelta | float) -> str:
    """For people, from a timedelta or seconds: ``40 ms``, ``4.6 s``, ``3 m 10 s``, ``31 h``, ``2 d 3 h``."""
    seconds = _seconds(duration)
    if seconds < 0:
        return f"-{format_duration(-float(seconds))}"
    if 0 < seconds < Fraction(1, 10):
        return f"{max(1, _half_up(seconds * 1000))} ms"
    if _half_up(seconds * 10) < 100:
        return f"{_three_digits(seconds)} s"
    if _half_up(seconds) < 60:
        return f"{_half_up(seconds)} s"
    whole = _half_up(seconds)
    if whole < 3_600:
        return _two_units(whole, 60, "m", "s")
    minutes = _half_up(seconds / 60)
    if minutes < 48 * 60:
        return _two_units(minutes, 60, "h", "m")
    return _two_units(_half_up(seconds / 3_600), 24, "d", "h")


def exact_duration(duration: timedelta) -> str:
    """For files: ``24h``, ``30d``, ``1h30m``, days from two on; ``parse_duration`` gives the same value back.

    Raises ``ValueError`` for a negative duration.
    """
    rest = duration // timedelta(microseconds=1)
    if rest < 0:
        raise ValueError("a duration cannot be negative")
    written = ""
    first = 1 if duration >= timedelta(days=2) else 2  # weeks are read, but never written
    for unit, seconds in DURATION_UNITS[first:-1]:
        number, rest = divmod(rest, seconds * 1_000_000)
        written += f"{number}{unit}" if number else ""
    seconds, fraction = divmod(rest, 1_000_000)
    if seconds or fraction or not written:
        written += f"{seconds}.{fraction:06d}".rstrip("0").rstrip(".") + "s" if fraction else f"{seconds}s"
    return written


def format_age(then: datetime, now: datetime) -> str:
    """For people: ``just now``, ``41 s ago``, ``31 h ago``, ``2 d ago``; ``in 5 h`` when it is to come."""
    age = _seconds(now - then)
    if abs(age) < 1:
        return "just now"
    return f"{format_span(now - then)} ago" if age > 0 else f"in {format_span(then - now)}"


def format_span(duration: timedelta | float) -> str:
    """For people, one unit and never more than has passed: ``41 s``, ``59 m``, ``47 h``, ``2 d``."""
    seconds = int(_seconds(duration))
    for unit, length, least in (("d", 86_400, 2 * 86_400), ("h", 3_600, 3_600), ("m", 60, 60)):
        if seconds >= least:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def parse_time(text: str) -> datetime:
    """The aware UTC time in RFC 3339 text (``2026-11-23T03:00:04Z``, or with an offset).

    Raises ``ValueError`` without an offset, or when there is no such time.
    """
    if _TIME.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a time such as 2026-11-23T03:00:04Z")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a time: there is no such day or hour") from None


def exact_time(time: datetime) -> str:
    """For files: RFC 3339 in UTC with ``Z``; microseconds only if there are some. Needs an aware datetime."""
    return _utc(time).replace(tzinfo=None).isoformat() + "Z"


def format_time(time: datetime) -> str:
    """For people: ``2026-11-23 07:12 UTC``. Needs an aware datetime."""
    return f"{_utc(time).replace(tzinfo=None).isoformat(' ', 'minutes')} UTC"


def parse_stamp(text: str) -> datetime:
    """The aware UTC time of a backup's stamp, ``20260211-154344``. Raises ``ValueError``."""
    if _STAMP.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a stamp such as 20260211-154344")
    try:
        return datetime.strptime(text, STAMP).replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{text!r} is not a stamp: there is no such day or time") from None


def format_stamp(time: datetime) -> str:
    """``20260211-154344``: UTC, to the second, sorted as text in order of time. Needs an aware datetime."""
    utc = _utc(time)
    return f"{utc.year:04d}{utc:%m%d-%H%M%S}"  # %Y does not pad before the year 1000


def format_count(number: int) -> str:
    """``412,118``."""
    return f"{number:,}"


def counted(number: int, noun: str, nouns: str = "") -> str:
    """``1 table``, ``23 tables``, ``2 indices``: a count and its noun; ``nouns`` where an s is not enough."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def listed(words: Sequence[str], quote: Callable[[str], str] = str, last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    quoted = [quote(word) for word in words]
    return f" {last} ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else "".join(quoted)


def _half_up(value: Fraction) -> int:
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def _three_digits(value: Fraction) -> str:
    """``1.1``, ``14.2``, ``142``, ``96``: one decimal below a hundred, without a final ``.0``."""
    tenths = _half_up(value * 10)
    if tenths >= 1000:
        return str(_half_up(value))
    return f"{tenths // 10}.{tenths % 10}".removesuffix(".0")


def _two_units(number: int, per_unit: int, unit: str, small: str) -> str:
    large, rest = divmod(number, per_unit)
    return f"{large} {unit} {rest} {small}" if rest else f"{large} {unit}"


def _seconds(duration: timedelta | float) -> Fraction:
    if isinstance(duration, timedelta):
        return Fraction(duration // timedelta(microseconds=1), 1_000_000)
    return Fraction(duration)


def _utc(time: datetime) -> datetime:
    if time.utcoffset() is None:
        raise ValueError("a time without its offset cannot be written: make it UTC first")
    return time.astimezone(UTC)
