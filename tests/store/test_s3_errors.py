"""What servers and connections say, as the classes people see; texts as real servers send them."""

import pytest

from backstay.core.errors import (
    AlreadyExists,
    Denied,
    Locked,
    NotFound,
    StoreError,
    StoreMissing,
    Unavailable,
)
from backstay.store.s3_errors import from_response, from_transport, not_deleted, printable

WHAT = "write s3://bucket/k"


def answer(status, code="", message="", retries=0):
    return {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": retries},
    }


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (404, "NoSuchKey", "The specified key does not exist.", NotFound),
        (404, "404", "Not Found", NotFound),
        (404, "NoSuchBucket", "", StoreMissing),
        (301, "PermanentRedirect", "", StoreMissing),
        (400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong", StoreMissing),
        (403, "AccessDenied", "Access Denied", Denied),
        (403, "403", "Forbidden", Denied),
        (401, "Unauthorized", "", Denied),
        (403, "InvalidAccessKeyId", "", Denied),
        (403, "SignatureDoesNotMatch", "", Denied),
        (400, "ExpiredToken", "", Denied),
        (403, "RequestTimeTooSkewed", "", Denied),
        (403, "AccessDenied", "Access Denied because object protected by object lock.", Locked),
        (400, "InvalidRequest", "Object is WORM protected and cannot be overwritten", Locked),
        (412, "PreconditionFailed", "", AlreadyExists),
        (409, "ConditionalRequestConflict", "", Unavailable),
        (404, "NoSuchUpload", "", Unavailable),
        (503, "SlowDown", "", Unavailable),
        (500, "InternalError", "", Unavailable),
        (429, "", "", Unavailable),
        (400, "RequestTimeout", "", Unavailable),
        (400, "BadDigest", "", Unavailable),
        (501, "NotImplemented", "", StoreError),
        (507, "InsufficientStorage", "", StoreError),
        (403, "QuotaExceeded", "", StoreError),
        (403, "InvalidObjectState", "", StoreError),
        (400, "InvalidArgument", "", StoreError),
        (0, "", "", StoreError),
    ],
)
def test_answers(status, code, message, expected):
    error = from_response(answer(status, code, message, retries=2), WHAT)
    assert type(error) is expected
    assert str(error).startswith("cannot write s3://bucket/k: ")
    assert error.context["attempts"] == 3


@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "SignatureDoesNotMatch", "AccessDenied", "NoSuchBucket"])
def test_errors_that_a_person_can_mend_have_a_hint(code):
    assert from_response(answer(403, code), WHAT).hint


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("EndpointConnectionError", Unavailable),
        ("ConnectTimeoutError", Unavailable),
        ("ReadTimeoutError", Unavailable),
        ("ConnectionClosedError", Unavailable),
        ("ResponseStreamingError", Unavailable),
        ("SSLError", Denied),
        ("NoCredentialsError", Denied),
        ("ProfileNotFound", Denied),
        ("TokenRetrievalError", Denied),
    ],
)
def test_connections(name, expected):
    error = from_transport(name, "some reason", WHAT, "https://s3.example")
    assert type(error) is expected
    assert "some reason" in str(error)


def test_a_server_cannot_write_on_the_terminal():
    error = from_response(answer(400, "Odd", "\x1b[2Jgone\r\n" + "x" * 5000), WHAT)
    assert "\x1b" not in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 400
    assert printable("\x9b31m\u2028 a\u202eb") == "31m ab"


def test_keys_that_were_not_deleted():
    failed = [{"Key": "a", "Code": "AccessDenied", "Message": "object lock"}, {"Key": "b", "Code": "InternalError"}]
    error = not_deleted("s3://bucket/", failed)
    assert type(error) is Locked
    assert "cannot delete a, and 1 more from s3://bucket/" in str(error)
    assert type(not_deleted("s3://bucket/", failed[1:])) is Unavailable
