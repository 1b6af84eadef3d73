"""The byte pipeline: round trips, stock programs as readers, damage of every kind, bombs, memory."""

import gzip
import os
import subprocess
import sys

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.errors import CannotDecrypt, ConfigError, Corrupt
from backstay.store.pipeline import Encoded, Encoding, decode, decompress

IDENTITY = pyrage.x25519.Identity.generate()
PUBLIC, PRIVATE = str(IDENTITY.to_public()), str(IDENTITY)
ENCODINGS = [
    Encoding(compression, 1, recipients) for compression in ("gzip", "zstd", "none") for recipients in ((), (PUBLIC,))
]
BODY = [os.urandom(70_000), b"text " * 50_000, b"", b"x"]


def stored(chunks, encoding):
    encoded = Encoded(chunks, encoding)
    return list(encoded), encoded


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda one: "+".join(one.names) or "none")
class TestEachEncoding:
    def test_round_trip(self, encoding):
        data, encoded = stored(BODY, encoding)
        artifact = encoded.artifact("dump", "k")
        assert b"".join(decode(data, artifact, [PRIVATE])) == b"".join(BODY)
        assert artifact.size_bytes == sum(map(len, data))
        assert artifact.plain_size_bytes == sum(map(len, BODY))
        assert artifact.encoding == encoding.names

    def test_every_kind_of_damage_is_corrupt(self, encoding):
        data, encoded = stored(BODY, encoding)
        artifact, whole = encoded.artifact("dump", "k"), b"".join(data)
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        for bad in (b"", whole[:-1], whole[:middle], flipped, whole + b"more"):
            with pytest.raises(Corrupt):
                list(decode([bad], artifact, [PRIVATE]))

    def test_an_error_of_the_source_comes_through(self, encoding):
        def failing():
            yield BODY[0]
            raise ValueError("the source failed")

        with pytest.raises(ValueError, match="the source failed"):
            stored(failing(), encoding)

    def test_a_consumer_may_leave(self, encoding):
        chunks = iter(Encoded((os.urandom(1 << 16) for _ in range(1000)), encoding))
        next(chunks)
        chunks.close()

    def test_more_than_promised_stops_at_once(self, encoding):
        _, encoded = stored([b"small"], encoding)
        big, _ = stored([bytes(1 << 20)] * 64, encoding)
        with pytest.raises(Corrupt, match="holds more than the 5 bytes"):
            list(decode(big, encoded.artifact("dump", "k"), [PRIVATE]))


@given(st.lists(st.binary(max_size=300)), st.integers(1, 40))
def test_gzip_round_trip_in_pieces(chunks, piece):
    data = b"".join(stored(chunks, Encoding("gzip"))[0])
    assert gzip.decompress(data) == b"".join(chunks)
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
    assert b"".join(decompress(pieces, "gzip", "k")) == b"".join(chunks)


def test_stock_gunzip_reads_it(tmp_path):
    (tmp_path / "x.gz").write_bytes(b"".join(stored(BODY, Encoding("gzip"))[0]))
    out = subprocess.run(["gunzip", "-c", str(tmp_path / "x.gz")], capture_output=True, timeout=20)
    assert (out.returncode, out.stdout) == (0, b"".join(BODY))


def test_several_members_are_read_as_one():
    data = gzip.compress(b"one") + gzip.compress(b"two")
    assert b"".join(decompress([data[:5], data[5:30], data[30:]], "gzip", "k")) == b"onetwo"


def test_without_or_with_another_identity():
    data, encoded = stored(BODY, Encoding("gzip", 1, (PUBLIC,)))
    artifact = encoded.artifact("dump", "k.age")
    with pytest.raises(CannotDecrypt, match="k.age is encrypted and no identity is at hand"):
        list(decode(data, artifact))
    with pytest.raises(CannotDecrypt, match="to other keys than the identity given"):
        list(decode(data, artifact, [str(pyrage.x25519.Identity.generate())]))
    with pytest.raises(ConfigError, match="the age identity cannot be read"):
        list(decode(data, artifact, ["AGE-SECRET-KEY-1NONSENSE"]))


def test_a_bad_recipient_is_named_before_anything_is_written():
    with pytest.raises(ConfigError, match=r"encryption.recipients: 'age1nonsense'"):
        stored(BODY, Encoding("gzip", 1, ("age1nonsense",)))


def test_a_key_file_as_age_keygen_writes_it():
    data, encoded = stored(BODY, Encoding("gzip", 1, (PUBLIC,)))
    text = f"# created: 2026-02-11T15:43:44Z\n# public key: {PUBLIC}\n{PRIVATE}\n"
    assert b"".join(decode(data, encoded.artifact("dump", "k"), [text])) == b"".join(BODY)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_bomb_is_unpacked_in_bounded_memory(kind):
    """300 MB from a few hundred kilobytes, in a process of its own whose memory is then looked at."""
    code = f"""
from backstay.store.pipeline import Encoded, Encoding, decompress
data = list(Encoded((bytes(1 << 20) for _ in range(300)), Encoding({kind!r})))
size = sum(len(chunk) for chunk in decompress([b"".join(data)], {kind!r}, "k"))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(size >> 20, int(peak.split()[1]) >> 10)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    size, peak_mib = map(int, out.stdout.split())
    assert size == 300
    assert peak_mib < 100
