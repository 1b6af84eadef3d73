"""The base of every section, and the kinds of value that several sections share.

A kind is an ``Annotated`` type whose validator raises ``ValueError`` with the whole sentence a person sees, and whose
JSON Schema carries a ``title``: the word the reference page shows as its type.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from backstay.config.secrets import SecretRef
from backstay.config.yamltree import Expanded
from backstay.core.errors import ConfigError
from backstay.core.retention import KeepPolicy
from backstay.core.schedule import MACROS, check_cron
from backstay.core.units import exact_duration, exact_size, parse_duration, parse_size

_CRON_TERM = r"(?:\*|(?:\d{1,2}|[A-Za-z]{3})(?:-(?:\d{1,2}|[A-Za-z]{3}))?)(?:/\d{1,2})?"
CRON_FIELD = re.compile(rf"{_CRON_TERM}(?:,{_CRON_TERM})*", re.ASCII)  # what both Kubernetes and cronsim read
STAMPED = re.compile(r".*-\d{8}-\d{6}", re.ASCII)
NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
DNS_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}"
MAX_PREFIX_BYTES = 512  # leaves as much of S3's 1,024 for the file names below it


class Model(BaseModel):
    """A section: frozen, and without room for keys it does not know. A key without a value counts as left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_absent(cls, data: Any) -> Any:
        if data is None:
            return {}
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data


def _text(value: str) -> str:
    if not value:
        raise ValueError("must not be empty")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("must not contain line breaks or other control characters")
    return value


def matching(pattern: str, fault: str) -> Callable[[str], str]:
    """A validator for text of one form; ``fault`` follows the text in the message."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise ValueError(f"{value!r} {fault}")
        return value

    return check


def _target_name(value: str) -> str:
    if STAMPED.fullmatch(value):
        raise ValueError(f"{value!r} ends like the stamp of a backup: its files would look like another target's")
    return value


def _cron(value: str) -> str:
    if value not in MACROS:
        fields = value.split()
        if len(fields) != 5:
            raise ValueError(f"{value!r} is not a cron schedule: five fields are needed, minute hour day month weekday")
        odd = next((field for field in fields if CRON_FIELD.fullmatch(field) is None), None)
        if odd is not None:
            raise ValueError(f"{value!r} is not a cron schedule: {odd!r} is none of 5, 1-5, */10, 1,3 or MON")
    try:
        return check_cron(value)
    except ConfigError as error:
        raise ValueError(error.message) from None


def _as_text(value: Any, fault: str) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"{value!r} {fault}")


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    duration = parse_duration(_as_text(value, "is not a duration: write a number and a unit, such as 30d or 24h"))
    if not duration:
        raise ValueError("must be longer than nothing")
    return duration


def _size(value: Any) -> int:
    return parse_size(_as_text(value, "is not a size: write a number and a unit, such as 80GB or 5MiB"))


def _rate(value: Any) -> int:
    rate = _size(value.removesuffix("/s") if isinstance(value, str) else value)
    if not rate:
        raise ValueError("must be more than nothing")
    return rate


def _full_path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"{value!r} is not a full path: it must begin with '/'")
    if ".." in value.split("/"):
        raise ValueError(f"{value!r} must not have '..' in it")
    return value


def check_prefix(value: str) -> str:
    """A folder for artifacts: as ``check_folder``, and not Backstay's own. Raises ``ValueError``."""
    if value.partition("/")[0].casefold() == "backstay":
        raise ValueError("must not be in backstay/: that folder holds Backstay's own records")
    return check_folder(value)


def check_folder(value: str) -> str:
    """Part of a key: relative, without empty, ``.`` or ``..`` parts; may be empty. Raises ``ValueError``."""
    if not value:
        return value
    if value.startswith("/") or value.endswith("/"):
        raise ValueError(f"{value!r} must not begin or end with '/'")
    if any(part in {"", ".", ".."} for part in value.split("/")):
        raise ValueError(f"{value!r} must not have empty, '.' or '..' parts")
    if "\\" in value or any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError(f"{value!r} must not contain backslashes or control characters")
    if len(value.encode()) > MAX_PREFIX_BYTES:
        raise ValueError(f"is longer than {MAX_PREFIX_BYTES} bytes")
    return value


def _secret(value: Any) -> SecretRef:
    if isinstance(value, SecretRef):
        return value
    return SecretRef.parse(value if isinstance(value, str) else "")


def _expanded_number(value: Any) -> Any:
    return int(value) if isinstance(value, Expanded) and NUMBER.fullmatch(value) else value


def _expanded_truth(value: Any) -> Any:
    return value == "true" if isinstance(value, Expanded) and value in {"true", "false"} else value


Text = Annotated[str, AfterValidator(_text)]
FullPath = Annotated[Text, AfterValidator(_full_path), WithJsonSchema({"type": "string", "title": "path"})]
Name = Annotated[
    str,
    AfterValidator(matching(NAME, "is not a name: use letters, digits, '.', '_' and '-', at most 63 of them")),
    WithJsonSchema({"type": "string", "title": "name", "pattern": f"^{NAME}$"}),
]
TargetName = Annotated[Name, AfterValidator(_target_name)]
Namespace = Annotated[
    str,
    AfterValidator(matching(DNS_LABEL, "is not a namespace: use lower-case letters, digits and '-'")),
    WithJsonSchema({"type": "string", "title": "namespace", "pattern": f"^{DNS_LABEL}$"}),
]
Cron = Annotated[str, AfterValidator(_cron), WithJsonSchema({"type": "string", "title": "cron schedule"})]
Duration = Annotated[
    timedelta,
    PlainValidator(_duration),
    PlainSerializer(exact_duration, return_type=str),
    WithJsonSchema({"type": "string", "title": "duration"}),
]
Size = Annotated[
    int,
    PlainValidator(_size),
    PlainSerializer(exact_size, return_type=str),
    WithJsonSchema({"type": "string", "title": "size"}),
]
Rate = Annotated[
    int,
    PlainValidator(_rate),
    PlainSerializer(lambda rate: f"{exact_size(rate)}/s", return_type=str),
    WithJsonSchema({"type": "string", "title": "size per second"}),
]
Prefix = Annotated[str, AfterValidator(check_prefix), WithJsonSchema({"type": "string", "title": "folder"})]
Secret = Annotated[
    SecretRef,
    PlainValidator(_secret),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "title": "secret reference", "pattern": "^(secret|env|file|cmd):.+$"}),
]
Whole = Annotated[int, Field(strict=True), BeforeValidator(_expanded_number)]
Positive = Annotated[int, Field(strict=True, ge=1), BeforeValidator(_expanded_number)]
Number = Annotated[float, Field(strict=True), BeforeValidator(_expanded_number)]
YesNo = Annotated[bool, Field(strict=True), BeforeValidator(_expanded_truth)]


class Keep(Model):
    """How long backups stay: one is kept as long as *any* of these rules keeps it; with none, all are kept for good."""

    days: Positive | None = Field(default=None, description="Keep those of the last so many days.", examples=[7])
    count: Positive | None = Field(default=None, description="Keep the newest so many.", examples=[7])
    ttl: Duration | None = Field(
        default=None, description="Keep those younger than this, as Velero counts it.", examples=["720h"]
    )
    daily: Positive | None = Field(
        default=None, description="Keep the newest of each of the last so many days that have one.", examples=[7]
    )
    weekly: Positive | None = Field(
        default=None, description="Keep the newest of each of the last so many weeks that have one.", examples=[4]
    )
    monthly: Positive | None = Field(
        default=None, description="Keep the newest of each of the last so many months that have one.", examples=[6]
    )
    yearly: Positive | None = Field(
        default=None, description="Keep the newest of each of the last so many years that have one.", examples=[1]
    )

    def policy(self) -> KeepPolicy:
        """The same rules as the core understands them."""
        return KeepPolicy(**{name: getattr(self, name) for name in type(self).model_fields})
