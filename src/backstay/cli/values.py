"""Values of options as people type them; every mistake is a ``UsageError`` that says what would be right."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from backstay.config.secrets import SecretRef
from backstay.core.errors import UsageError
from backstay.core.units import parse_duration, parse_stamp, parse_time

if TYPE_CHECKING:
    from backstay.app import Destination

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
POSTGRES_PORT = 5432


def moment(option: str, text: str, now: datetime, *, end: bool = False) -> datetime:
    """The time in ``7d`` (so long ago), ``2026-11-23`` (its first second, or its last with ``end``), a full time or a
    stamp."""
    try:
        if _DAY.fullmatch(text):
            day = datetime.fromisoformat(text).replace(tzinfo=UTC)
            return day + timedelta(days=1, seconds=-1) if end else day
        for parse in (parse_stamp, parse_time):
            try:
                return parse(text)
            except ValueError:
                continue
        return now - parse_duration(text)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option}: {text!r} is not a time",
            hint="Write how long ago (36h, 7d), a day (2026-11-23) or a time (2026-11-23T03:00:00Z), all in UTC.",
        ) from None


def given_secret(option: str, text: str | None) -> SecretRef | None:
    """The reference in an option that may be left out. Raises ``UsageError``."""
    return secret(option, text) if text else None


def secret(option: str, text: str) -> SecretRef:
    """A secret reference; the message never repeats what may be a secret typed by mistake."""
    try:
        return SecretRef.parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", hint="Secrets are referred to, never given.") from None


def pairs(option: str, texts: list[str], example: str, separator: str = ":") -> dict[str, str]:
    """``OLD:NEW`` each; ``example`` is one for the hint."""
    found = {}
    for text in texts:
        old, between, new = text.partition(separator)
        if not (old and between and new):
            raise UsageError(f"{option}: {text!r} is not OLD{separator}NEW", hint=f"For instance {option} {example}.")
        found[old] = new
    return found


def words(texts: list[str]) -> list[str]:
    """Those of an option that may be given again, or with commas."""
    return [word for text in texts for word in text.split(",") if word]


def server(option: str, text: str, password: SecretRef | None) -> "Destination":
    """``HOST``, ``HOST:PORT`` or ``postgresql://user@host:port``; a password in it is refused."""
    from backstay.app import Destination

    url = text if "://" in text else f"postgresql://{text}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
        parts = urlsplit("postgresql://")
    if parts.password is not None:
        raise UsageError(
            f"{option}: a password must not be part of a URL: every program on this machine can read it there",
            hint="Take it out, change it, and give --password file:/path, cmd:program or secret:namespace/name.",
        )
    if parts.scheme not in {"postgresql", "postgres"} or not host or parts.path.strip("/") or parts.query:
        raise UsageError(
            f"{option}: {text!r} is not a server", hint="Write HOST, HOST:PORT or postgresql://user@host:port."
        )
    return Destination(host, port or POSTGRES_PORT, unquote(parts.username or "postgres"), password)
