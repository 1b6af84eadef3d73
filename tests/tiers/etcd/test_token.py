"""The server token: its forms, what it opens, and that it is never said."""

import base64
import hashlib
import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.core.errors import SecretError
from backstay.tiers.etcd import token as tokens
from backstay.tiers.etcd.token import BOOTSTRAP, check, key_name, password_of
from tests.tiers.etcd.bootstrap import ENCRYPTION, ISSUED, PASSWORD, bootstrap, ca, document, files, seal, whole_token

HASH = "a" * 64
SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=9, max_size=60)


@pytest.fixture(scope="module")
def snapshot():
    return bootstrap()


@pytest.mark.parametrize(
    ("token", "password"),
    [
        ("secret", "secret"),
        ("  secret\n", "secret"),
        ("with:colon", "with:colon"),
        ("with::two", "with::two"),
        (f"K10{HASH}::server:secret", "secret"),
        (f"K10{HASH}::server:se:cr::et\n", "se:cr::et"),
        (f"K10{HASH}::node:secret", "secret"),
        ("K10::server:secret", "secret"),
        ("K10:::secret", "secret"),
        ("K10user:secret", "secret"),
    ],
)
def test_the_password_of_each_form(token, password):
    """The forms of parseToken in k3s, pkg/clientaccess/token.go."""
    assert password_of(token) == password


@pytest.mark.parametrize(
    "token",
    [
        "",
        " \n",
        "K10secret",
        f"K10{HASH}::server:",
        f"K10{HASH}::server",
        f"K10{HASH[:-1]}::server:hidden-away",
        "abcdef.0123456789abcdef",
        f"K10{HASH}::abcdef.0123456789abcdef",
        "x" * 5000,
    ],
)
def test_what_k3s_would_not_take_is_refused_without_saying_it(token):
    with pytest.raises(SecretError) as caught:
        password_of(token)
    words = f"{caught.value} {caught.value.hint} {caught.value.context}"
    assert "hidden" not in words
    assert len(token.strip()) < 6 or token.strip() not in words


def test_the_name_of_the_key_is_that_of_the_documentation():
    """rke2-docs, "Backup and Restore": the hash of the token ``secret`` in an ETCDSnapshotFile."""
    assert key_name("secret") == "/bootstrap/2bb80d537b1d"


@pytest.mark.parametrize("token", [PASSWORD, whole_token(), f"\n{whole_token()}"])
def test_the_token_opens_what_k3s_wrote(snapshot, token):
    found = check(snapshot, token)
    assert found.opens, found.why
    assert set(found.files) == set(files())
    assert list(found.files) == sorted(found.files)
    assert found.expires == ISSUED + timedelta(days=3650)
    assert found.expires_name in {"ClientCA", "ETCDPeerCA", "ETCDServerCA", "RequestHeaderCA", "ServerCA"}
    assert not found.uses_encryption_config
    assert found.unreadable == ()


def test_the_first_certificate_to_end_is_named():
    soon = ISSUED + timedelta(days=30)
    found = check(bootstrap(ends={"ETCDServerCA": soon}), PASSWORD)
    assert (found.expires, found.expires_name) == (soon, "ETCDServerCA")
    assert found.expires.tzinfo is not None


def test_a_chain_of_certificates_ends_with_its_first():
    long, short = ca("root", ISSUED + timedelta(days=900))[0], ca("leaf", ISSUED + timedelta(days=9))[0]
    found = check({key_name("p"): seal(document({"ServerCA": long + b"\n" + short}), "p")}, "p")
    assert found.expires == ISSUED + timedelta(days=9)


@pytest.mark.parametrize(
    ("config", "uses"),
    [
        (json.dumps(ENCRYPTION).encode(), True),
        (b'{"resources":[{"providers":[{"identity":{}}]}]}', False),
        (b'{"resources":[]}', False),
        (b"", False),
        (b"not json", True),
        (b'{"resources":3}', True),
    ],
)
def test_whether_values_may_be_encrypted(config, uses):
    sealed = seal(document({"EncryptionConfig": config, "PasswdFile": b"x"}), "p")
    assert check({key_name("p"): sealed}, "p").uses_encryption_config is uses


def test_data_of_a_k3s_before_timestamps_opens_too():
    sealed = seal(document(files(), timestamps=False), "p")
    assert "ServerCA" in check({key_name("p"): sealed}, "p").files


def test_another_token_does_not_open_it(snapshot):
    found = check(snapshot, "another")
    assert not found.opens
    assert "not the one" in found.why


def test_the_right_name_with_the_wrong_content(snapshot):
    found = check({key_name("another"): next(iter(snapshot.values()))}, "another")
    assert not found.opens
    assert "does not open" in found.why


def test_no_token_and_no_data(snapshot):
    assert "no server token" in check(snapshot, None).why
    assert "no bootstrap data" in check({}, PASSWORD).why
    assert "empty" in check(snapshot, "").why
    assert not any(found.opens for found in (check(snapshot, None), check({}, PASSWORD), check(snapshot, "")))


def test_one_of_several_keys_is_enough(snapshot):
    """k3s only warns when a snapshot has more than one."""
    assert check({key_name("older"): b"x:y"} | snapshot, PASSWORD).opens


@pytest.mark.parametrize("old", ["", whole_token().strip()])
def test_keys_that_old_versions_wrote(old):
    """By the empty string, or by the token in its whole form: k3s, migrateOldTokens in pkg/cluster/storage.go."""
    assert check({key_name(old): seal(document({"PasswdFile": b"x"}), old)}, whole_token()).opens


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"no colon",
        b":AAAA",
        b"salt:",
        b"salt:not base64!",
        b"salt:" + base64.b64encode(bytes(27)),
        b"s" * 300 + b":" + base64.b64encode(bytes(64)),
        b"salt:" + b"A" * tokens.MAX_VALUE,
    ],
)
def test_values_that_k3s_does_not_write(value):
    found = check({key_name("p"): value}, "p")
    assert not found.opens
    assert "not what k3s writes" in found.why or "cut short" in found.why


@pytest.mark.parametrize("plain", [b"", b"[]", b"{}", b"3", b"{", b'{"a":3}', b'{"a":{"Content":"?"}}', b"[" * 100_000])
def test_content_that_k3s_does_not_write(plain):
    found = check({key_name("p"): seal(plain, "p")}, "p")
    assert not found.opens
    assert "not what k3s writes" in found.why


def test_too_many_files():
    many = json.dumps({f"f{at}": "" for at in range(tokens.MAX_FILES + 1)}).encode()
    assert not check({key_name("p"): seal(many, "p")}, "p").opens


def test_a_file_without_content_has_none():
    assert check({key_name("p"): seal(b'{"a":{"Timestamp":"x","Content":null}}', "p")}, "p").files == ("a",)


@pytest.mark.parametrize(
    "pem",
    [
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n\xff\n-----END CERTIFICATE-----\n",
    ],
)
def test_a_certificate_that_cannot_be_read_is_named(pem):
    good = ca("good", ISSUED + timedelta(days=5))[0]
    found = check({key_name("p"): seal(document({"Bad": pem, "Good": good}), "p")}, "p")
    assert found.opens
    assert found.unreadable == ("Bad",)
    assert found.expires_name == "Good"


def test_certificates_without_end_are_not_read_without_end():
    one = ca("one", ISSUED + timedelta(days=5))[0]
    found = check({key_name("p"): seal(document({"Many": one * (tokens.MAX_CERTIFICATES + 1)}), "p")}, "p")
    assert found.unreadable == ("Many",)


def test_the_cipher_is_that_of_k3s():
    """PBKDF2 with SHA-1, 4096 rounds, the salt as text; AES-256-GCM with the nonce in front."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce, plain = "00112233445566aa", bytes(range(12)), document({"PasswdFile": b"x"})
    key = hashlib.pbkdf2_hmac("sha1", b"p", b"00112233445566aa", 4096, 32)
    by_hand = salt + ":" + base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plain, None)).decode()
    assert seal(plain, "p", salt=salt, nonce=nonce) == by_hand.encode()
    assert check({key_name("p"): by_hand.encode()}, "p").opens


@settings(max_examples=25)
@given(SECRETS)
def test_the_token_is_in_no_word_that_comes_out(secret):
    for token in (secret, f"K10{HASH}::server:{secret}", f"K10{HASH[:-1]}::server:{secret}"):
        try:
            name = key_name(password_of(token))
        except SecretError as error:
            words = f"{error!r} {error} {error.hint} {error.context}"
        else:
            words = repr(check({name: b"salt:AAAA"}, token)) + repr(check({BOOTSTRAP: b""}, token))
        assert secret not in words


@given(st.binary(max_size=100))
def test_any_value_is_opened_or_not(value):
    assert not check({key_name("p"): value}, "p").opens
