"""Certificates for one scratch server: what it holds are all secrets of a cluster, also on loopback.

A CA that signs one certificate for both sides and whose key is never written; all end with the folder they are in.
etcd takes them for its members and clients, kube-apiserver for itself and for a user of a group that may do everything.
"""

import datetime as dt
import ipaddress
import os
from pathlib import Path

from backstay.cluster.localetcd.server import HOST, ClientTls, ServerTls

DAYS = 7  # longer than any drill
NAME = "backstay scratch server"
USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip
FILES = ("ca.crt", "server.crt", "server.key")


def issue(folder: Path, group: str = "") -> tuple[ServerTls, ClientTls]:
    """New files in ``folder``: for the server (and its peers), and for the only client it will know.

    ``group`` is the user group that Kubernetes reads from it. Raises ``OSError``.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = dt.datetime.now(dt.UTC)
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{NAME} CA")])
    organization = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    subject = x509.Name([*organization, x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def builder(name: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(public)
        made = made.serial_number(x509.random_serial_number())
        return made.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(days=DAYS))

    is_ca = x509.BasicConstraints(ca=True, path_length=0)
    ca = builder(issuer, ca_key.public_key()).add_extension(is_ca, critical=True)
    signs = dict.fromkeys(USAGES, False) | {"key_cert_sign": True}
    ca = ca.add_extension(x509.KeyUsage(**signs), critical=True)
    ca = ca.add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
    leaf = builder(subject, key.public_key()).add_extension(usage, critical=False).add_extension(names, critical=False)
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    leaf = leaf.add_extension(signer, critical=False)  # OpenSSL wants both where it is strict (Python 3.13)
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    made = (ca.sign(ca_key, hashes.SHA256()).public_bytes(pem), leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    for name, content in zip(FILES, (*made, plain), strict=True):
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
    return paths(folder)


def paths(folder: Path) -> tuple[ServerTls, ClientTls]:
    """Where ``issue`` puts them."""
    ca, cert, key = (folder / name for name in FILES)
    return ServerTls(ca, cert, key), ClientTls(ca, cert, key)
