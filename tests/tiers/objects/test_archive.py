"""The archive: what is written is read back by us and by others, and what has no business in one is refused."""

import io
import json
import tarfile
import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.core.errors import ArchiveDamaged, Corrupt
from backstay.tiers.objects.archive import blocks
from backstay.tiers.objects.archive.paths import path_of, place_of
from backstay.tiers.objects.archive.reader import objects
from backstay.tiers.objects.archive.spooled import Entry, spooled
from backstay.tiers.objects.archive.writer import END, TarWriter

AT = datetime(2026, 2, 11, 15, 43, 44, tzinfo=UTC)
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=300).filter(
    lambda name: name not in {".", ".."}
)
PLAIN = st.text("abcdefghij-.0123456789", min_size=1, max_size=253).filter(lambda name: name not in {".", ".."})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=8,
)


def thing(name, namespace="shop", kind="ConfigMap", api_version="v1", **more):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def text_of(*args, **named):
    return json.dumps(thing(*args, **named), ensure_ascii=False).encode()


def packed(*members):
    """A tar of paths with their bytes."""
    writer = TarWriter(AT)
    return b"".join(writer.member(path, data) for path, data in members) + END


def tar_of(path, data=b"", kind=tarfile.REGTYPE, **fields):
    """A tar of one member that Python's own writer makes."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=fields.pop("format", tarfile.PAX_FORMAT)) as archive:
        info = tarfile.TarInfo(path)
        info.type, info.size = kind, len(data)
        for key, value in fields.items():
            setattr(info, key, value)
        archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


def read(data, step=1 << 20, **limits):
    return list(objects([data[at : at + step] for at in range(0, len(data), step)], **limits))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAMES | PLAIN, PLAIN | st.just(""), VALUES), max_size=6), st.integers(1, 3000))
def test_what_is_written_is_read_by_us_and_by_python(members, step):
    files = [
        (path_of("configmaps", namespace, name), text_of(name, namespace, data=value))
        for name, namespace, value in members
    ]
    data = packed(*files)
    assert [(path_of("configmaps", one.place.namespace, one.place.name), one.json) for one in read(data, step)] == files
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert [(one.name, archive.extractfile(one).read()) for one in archive] == files


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=4), st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_what_python_writes_is_read(members, form):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for name, value in members:
            data = text_of(name, data=value)
            info = tarfile.TarInfo("./" + path_of("configmaps", "shop", name))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert [(one.place.name, one.json) for one in read(target.getvalue(), 700)] == [
        (name, text_of(name, data=value)) for name, value in members
    ]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000))
def test_noise_is_refused_and_nothing_else_happens(data):
    with pytest.raises(ArchiveDamaged):
        read(data)


SAMPLE = packed(
    (path_of("configmaps", "shop", "a"), text_of("a", data={"x": "y" * 600})),
    (path_of("configmaps", "n" * 63, "b" * 200), text_of("b" * 200, "n" * 63)),
    (path_of("configmaps", "shop", "ü"), text_of("ü")),
)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(1, len(SAMPLE)),
)
def test_damage_is_refused_or_leaves_objects_that_are_whole(changes, step):
    data = bytearray(SAMPLE)
    for at, value in changes:
        data[at] = value
    try:
        found = read(bytes(data), step)
    except ArchiveDamaged:
        return
    for one in found:
        metadata = json.loads(one.json)["metadata"]
        assert (metadata["name"], metadata.get("namespace", "")) == (one.place.name, one.place.namespace)


def test_one_archive_is_the_same_bytes_each_time():
    files = [(path_of("secrets", "shop", f"s{n}"), text_of(f"s{n}", kind="Secret")) for n in range(3)]
    assert packed(*files) == packed(*files)


def test_second_copies_and_the_version_of_the_format_are_passed_over():
    data = packed(
        ("metadata/version", b"1.1.0\n"),
        ("resources/configmaps/v1-preferredversion/namespaces/shop/a.json", text_of("a")),
        ("./resources/configmaps/namespaces/shop/a.json", text_of("a")),
        ("resources/deployments.apps/v1beta1/namespaces/shop/b.json", b"{}"),
    )
    assert [one.place.words for one in read(data)] == ["configmaps shop/a"]


def test_folders_are_passed_over():
    data = tar_of("resources/configmaps/", kind=tarfile.DIRTYPE)
    assert read(data) == []


GOOD = "resources/configmaps/namespaces/shop/a.json"
BAD_PATHS = [
    "/resources/configmaps/namespaces/shop/a.json",
    "../resources/configmaps/namespaces/shop/a.json",
    "resources/configmaps/namespaces/../a.json",
    "resources/configmaps/namespaces/shop/..json/../a.json",
    "resources/../configmaps/cluster/a.json",
    "resources/configmaps/namespaces//a.json",
    "resources//configmaps/namespaces/shop/a.json",
    "././resources/configmaps/namespaces/shop/a.json",
    "resources/configmaps/namespaces/shop/a",
    "resources/configmaps/namespaces/shop/.json",
    "resources/configmaps/namespaces/shop/b/a.json",
    "resources/configmaps/namespaces/a.json",
    "resources/configmaps/cluster/shop/a.json",
    "resources/Config Maps/cluster/a.json",
    "resources/configmaps/V 1/cluster/a.json",
    "resources/configmaps/v1-preferredversion/namespaces/../a.json",
    "etc/passwd",
    "metadata/versions",
    "resources/" + "a" * 400 + "/cluster/a.json",
]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_path_that_has_no_place_is_refused(path):
    with pytest.raises(ArchiveDamaged, match="no place"):
        read(tar_of(path, text_of("a")))


@pytest.mark.parametrize("path", ["/etc/", "resources/../x/", "other/", "resources//x/"])
def test_a_folder_that_has_no_place_is_refused(path):
    with pytest.raises(ArchiveDamaged, match="no place"):
        read(tar_of(path, kind=tarfile.DIRTYPE))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "pipe"),
        (tarfile.CONTTYPE, "contiguous"),
        (b"S", "sparse"),
        (b"Z", "type"),
    ],
)
def test_what_is_no_regular_file_is_refused(kind, words):
    with pytest.raises(ArchiveDamaged, match=words):
        read(tar_of(GOOD, kind=kind, linkname="/etc/passwd"))


def test_a_long_link_and_a_global_header_are_refused():
    with pytest.raises(ArchiveDamaged, match="long link"):
        read(tar_of(GOOD, kind=tarfile.SYMTYPE, linkname="x" * 300, format=tarfile.GNU_FORMAT))
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"path": "x"}):
        pass
    with pytest.raises(ArchiveDamaged, match="global"):
        read(target.getvalue())


@pytest.mark.parametrize("headers", [{"GNU.sparse.map": "0,1"}, {"size": "9999999999"}])
def test_a_pax_header_that_changes_what_is_read_is_refused(headers):
    with pytest.raises(ArchiveDamaged, match="pax header with"):
        read(tar_of(GOOD, text_of("a"), pax_headers=headers))


def test_a_pax_header_whose_name_is_no_text_is_refused_too():
    made = tar_of(GOOD, text_of("a"), pax_headers={"GNU.sparse?": "0"})
    with pytest.raises(ArchiveDamaged, match="pax header with"):
        read(made.replace(b"GNU.sparse?", b"GNU.sparse\xff"))


def test_a_pax_header_of_no_matter_is_passed_over():
    assert len(read(tar_of(GOOD, text_of("a"), pax_headers={"comment": "x", "mtime": "1.5"}))) == 1


def test_a_damaged_header_is_refused():
    data = bytearray(packed((GOOD, text_of("a"))))
    data[120] ^= 1
    with pytest.raises(ArchiveDamaged, match="checksum"):
        read(bytes(data))


@pytest.mark.parametrize("cut", [0, 100, 512, 700, 1024, 1536])
def test_a_tar_without_its_end_is_refused(cut):
    with pytest.raises(ArchiveDamaged, match="ends in its middle"):
        read(packed((GOOD, text_of("a")))[:cut])


def test_more_behind_the_end_is_refused():
    data = packed((GOOD, text_of("a")))
    assert len(read(data + bytes(9 * 1024))) == 1
    for rest in (b"x", bytes(5000) + b"x", data, bytes(blocks.MOST_PADDING + 1)):
        with pytest.raises(ArchiveDamaged, match="behind its end"):
            read(data + rest)
    with pytest.raises(ArchiveDamaged, match="end in its middle"):
        read(data[:-512] + data)


def test_what_is_too_large_is_refused():
    large = text_of("a", data={"x": "y" * (17 << 20)})
    with pytest.raises(ArchiveDamaged, match="at most"):
        read(packed((GOOD, large)))
    data = packed((GOOD, text_of("a")), (GOOD.replace("/a.", "/b."), text_of("b")))
    assert len(read(data, limit_bytes=len(text_of("a")) * 2)) == 2
    with pytest.raises(ArchiveDamaged, match="more than"):
        read(data, limit_bytes=len(text_of("a")) * 2 - 1)


def test_a_size_of_many_gigabytes_does_not_fill_the_memory():
    writer = TarWriter(AT)
    header = bytearray(writer.member(GOOD, b"")[:512])
    header[124:136] = b"\x80" + (1 << 60).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(ArchiveDamaged, match="at most"):
        read(bytes(header))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"shop"}}',
        text_of("b"),
        text_of("a", "bank"),
        text_of("a", ""),
        text_of("a", api_version="apps/v1"),
        text_of("a", kind=""),
        text_of("a") + b"x",
        text_of("a")[:-1],
        text_of("a", data={"x": "y"}).replace(b"y", b"\xff"),
        text_of("a", data="X").replace(b'"X"', b"[" * 100_000 + b"]" * 100_000),
    ],
)
def test_a_file_that_is_not_its_object_is_refused(data):
    with pytest.raises(ArchiveDamaged):
        read(packed((GOOD, data)))


def test_an_object_that_is_there_twice_is_refused(tmp_path):
    data = packed((GOOD, text_of("a")), ("./" + GOOD, text_of("a")))
    with pytest.raises(ArchiveDamaged, match="twice"), spooled([data], tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def stocked():
    places = [("configmaps", f"ns{n % 3}", f"c{n}") for n in range(2500)] + [("nodes", "", "n1")]
    return packed(*((path_of(*place), text_of(place[2], place[1])) for place in places))


def test_a_spooled_archive_is_there_by_name(tmp_path):
    with spooled([stocked()], tmp_path) as archive:
        assert archive.resources() == ["configmaps", "nodes"]
        assert archive.namespaces() == ["ns0", "ns1", "ns2"]
        assert (archive.count(), archive.count("configmaps"), archive.count("nodes", "")) == (2501, 2500, 1)
        assert (archive.count("configmaps", "ns1"), archive.count(namespace="")) == (833, 1)
        entries = list(archive.entries("configmaps"))
        assert [(one.namespace, one.name) for one in entries] == sorted((f"ns{n % 3}", f"c{n}") for n in range(2500))
        assert [one.name for one in archive.entries("configmaps", "ns2")] == sorted(f"c{n}" for n in range(2, 2500, 3))
        assert [one.name for one in archive.entries("nodes", "")] == ["n1"]
        assert list(archive.entries("configmaps", "")) == []
        assert (
            archive.find("configmaps", "ns1", "c7").name
            == "c7"
            == json.loads(archive.read(archive.find("configmaps", "ns1", "c7")))["metadata"]["name"]
        )
        assert archive.find("configmaps", "ns2", "c7") is None
        with pytest.raises(ArchiveDamaged, match="shorter"):
            archive.read(Entry("nodes", "", "n1", 1 << 40, 5))
    assert not list(tmp_path.iterdir())


def test_a_spooled_archive_is_read_by_several_threads(tmp_path):
    wrong = []
    with spooled([stocked()], tmp_path) as archive:

        def look(start):
            entries = archive.entries("configmaps", f"ns{start}")
            wrong.extend(one for one in entries if json.loads(archive.read(one))["metadata"]["name"] != one.name)

        threads = [threading.Thread(target=look, args=(start % 3,)) for start in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_an_error_of_the_store_leaves_no_spool(tmp_path):
    def chunks():
        yield stocked()[:5000]
        raise Corrupt("cut")

    with pytest.raises(Corrupt), spooled(chunks(), tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b"])
def test_a_name_that_no_file_can_have_is_refused(name):
    with pytest.raises(ValueError, match="cannot be"):
        path_of("roles.rbac.authorization.k8s.io", "shop", name)


@given(PLAIN | NAMES, PLAIN | st.just(""))
def test_a_path_says_whose_it_is(name, namespace):
    place = place_of(path_of("roles.rbac.authorization.k8s.io", namespace, name))
    assert (place.resource, place.namespace, place.name) == ("roles.rbac.authorization.k8s.io", namespace, name)
