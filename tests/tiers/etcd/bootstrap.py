"""Bootstrap data as k3s writes it to etcd: what ``backstay.tiers.etcd.token`` opens, closed.

``seal`` is the inverse of ``token.check`` and stands in tests alone: Backstay never writes such data.
"""

import base64
import hashlib
import json
import os
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

PASSWORD = "a-token-of-the-tests"
ISSUED = datetime(2026, 2, 11, 15, 43, 44, tzinfo=UTC)
YEARS = {"ClientCA": 10, "ETCDPeerCA": 10, "ETCDServerCA": 10, "RequestHeaderCA": 10, "ServerCA": 10}
ENCRYPTION = {
    "kind": "EncryptionConfiguration",
    "apiVersion": "apiserver.config.k8s.io/v1",
    "resources": [
        {
            "resources": ["secrets"],
            "providers": [{"aescbc": {"keys": [{"name": "aescbckey", "secret": "AAAA"}]}}, {"identity": {}}],
        }
    ],
}


def ca(name, ends, *, issued=ISSUED):
    """A self-signed CA as k3s makes them (ECDSA on P-256): certificate and key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(issued)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), secret


def files(*, ends=None, encryption=None):
    """Name to content of what a server keeps; ``ends`` overrides when a CA ends, by its name."""
    found = {"PasswdFile": b"node,node,node,k3s:agent\n", "ServiceKey": ca("service", ISSUED + timedelta(days=1))[1]}
    for name, years in YEARS.items():
        until = (ends or {}).get(name, ISSUED + timedelta(days=365 * years))
        found[name], found[f"{name}Key"] = ca(name, until)
    if encryption is not None:
        found["EncryptionConfig"] = json.dumps(encryption).encode()
        found["EncryptionHash"] = b"start-" + hashlib.sha256(found["EncryptionConfig"]).hexdigest().encode()
    return found


def document(contents, *, timestamps=True):
    """The JSON that is encrypted; without timestamps as k3s had it before 1.22."""
    encoded = {name: base64.b64encode(content).decode() for name, content in contents.items()}
    if not timestamps:
        return json.dumps(encoded).encode()
    stamp = ISSUED.isoformat().replace("+00:00", "Z")
    return json.dumps({name: {"Timestamp": stamp, "Content": text} for name, text in encoded.items()}).encode()


def seal(plain, password=PASSWORD, *, salt=None, nonce=None):
    """A value of ``/bootstrap/<hash>``: ``<salt>:<base64 of nonce, ciphertext, tag>``."""
    salt = salt or os.urandom(8).hex()
    nonce = nonce or os.urandom(12)
    key = hashlib.pbkdf2_hmac("sha1", password.encode(), salt.encode(), 4096, 32)
    return salt.encode() + b":" + base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plain, None))


def bootstrap(password=PASSWORD, **about):
    """Key to value, as a snapshot of one server has them."""
    name = "/bootstrap/" + hashlib.sha256(password.encode()).hexdigest()[:12]
    return {name: seal(document(files(**about)), password)}


def whole_token(password=PASSWORD):
    """The token in the form of ``server/token``."""
    return f"K10{hashlib.sha256(b'a CA').hexdigest()}::server:{password}\n"
