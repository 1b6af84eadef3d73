"""Values of options: read as people type them, refused with what would be right."""

from datetime import UTC, datetime

import pytest

from backstay.app import Destination
from backstay.cli import values
from backstay.config.secrets import SecretRef
from backstay.core.errors import UsageError

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", datetime(2026, 11, 16, 12, tzinfo=UTC)),
        ("36h", datetime(2026, 11, 22, 0, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T03:00:00Z", datetime(2026, 11, 20, 3, tzinfo=UTC)),
        ("20261120-030004", datetime(2026, 11, 20, 3, 0, 4, tzinfo=UTC)),
    ],
)
def test_moments(text, expected):
    assert values.moment("--since", text, NOW) == expected


def test_a_day_as_an_end_is_all_of_it():
    assert values.moment("--until", "2026-11-20", NOW, end=True) == datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "20261301-000000", "", "9999999w", "7"])
def test_what_is_no_moment(text):
    with pytest.raises(UsageError, match="--since: .* is not a time") as caught:
        values.moment("--since", text, NOW)
    assert "36h" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("db", Destination("db", 5432, "postgres")),
        ("db:5433", Destination("db", 5433, "postgres")),
        ("10.0.0.7:5433", Destination("10.0.0.7", 5433, "postgres")),
        ("[::1]:5433", Destination("::1", 5433, "postgres")),
        ("postgresql://app@db:5433", Destination("db", 5433, "app")),
        ("postgresql://a%40b@db/", Destination("db", 5432, "a@b")),
    ],
)
def test_servers(text, expected):
    assert values.server("--server", text, None) == expected


@pytest.mark.parametrize("text", ["", "db:x", "mysql://db", "postgresql://", "db:5432/app", "db?sslmode=disable"])
def test_what_is_no_server(text):
    with pytest.raises(UsageError, match="is not a server"):
        values.server("--server", text, None)


@pytest.mark.parametrize("text", ["postgresql://app:hunter2@db:5433", "app:hunter2@db"])
def test_a_password_in_a_url_is_refused_and_not_repeated(text):
    with pytest.raises(UsageError, match="a password must not be part of a URL") as caught:
        values.server("--server", text, None)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_the_password_of_a_server_is_a_reference():
    ref = values.secret("--password", "file:/run/pw")
    assert values.server("--server", "db", ref).password == SecretRef("file", "/run/pw")
    with pytest.raises(UsageError, match="--password: is not a secret reference") as caught:
        values.secret("--password", "hunter2")
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_roles():
    assert values.pairs("--map-role", ["a:b", "c:d"], "x:y") == {"a": "b", "c": "d"}
    with pytest.raises(UsageError, match="'a' is not OLD:NEW"):
        values.pairs("--map-role", ["a"], "x:y")
