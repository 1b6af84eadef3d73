"""The reader of plain dumps: what it counts, what it takes for the end, and what it must not be fooled by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.errors import DumpIncomplete
from backstay.tiers.postgres.dumptext import DumpReader, qualified, quote, unquote

DUMP = b"""--
-- PostgreSQL database dump
--

\\restrict abc'def

SET client_encoding = 'UTF8';
--
-- Name: f(); Type: FUNCTION; Schema: public; Owner: o
--

CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $_$
COPY public.fake (a) FROM stdin;
-- PostgreSQL database dump complete
SELECT 'it''s', $1
$_$;
COMMENT ON FUNCTION public.f() IS 'COPY public.fake (a) FROM stdin;
\\.
-- Name: lie; Type: TABLE DATA; Schema: public; Owner: o
';
--
-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: o
--

COPY public.t (a, b) FROM stdin;
1\tx
2\t\\\\.
3\t'
\\.


COPY public."We""ird
na.me" (a) FROM stdin;
\\.

COPY public.zero  FROM stdin;


\\.
SELECT pg_catalog.setval('public."S"', 42, true);
SELECT pg_catalog.setval('public.s2', 1, false);
SELECT pg_catalog.lo_create('123');
--
-- PostgreSQL database dump complete
--
"""
TAIL = b"\n\\unrestrict abc'def\n\n"


def read(chunks):
    reader = DumpReader()
    assert b"".join(reader.through(chunks)) == b"".join(chunks)
    return reader.contents


def cuts(data, sizes):
    at = 0
    for size in sizes:
        if at >= len(data):
            return
        yield data[at : at + size]
        at += size
    yield data[at:]


@given(st.lists(st.integers(1, 80), max_size=200))
def test_the_same_whatever_the_chunks(sizes):
    contents = read(list(cuts(DUMP + TAIL, sizes)))
    assert contents.tables == {"public.t": 3, 'public."We""ird\nna.me"': 0, "public.zero": 2}
    assert contents.sequences == {'public."S"': (42, True), "public.s2": (1, False)}
    assert contents.large_objects == 1
    assert contents.rows == 5


def test_every_cut_is_noticed():
    complete = DUMP.rindex(b"complete") + len(b"complete\n")
    for cut in range(complete):
        with pytest.raises(DumpIncomplete, match="ended early"):
            read([DUMP[:cut]])
    assert read([DUMP[:complete]]).complete


def test_a_cut_inside_rows_names_the_table_and_the_rows():
    cut = DUMP.index(b"3\t'")
    with pytest.raises(DumpIncomplete, match=r"in the middle of public\.t, after 2 of its rows, no end marker"):
        read([DUMP[:cut]])


def test_something_after_the_end_marker_is_not_the_end():
    with pytest.raises(DumpIncomplete):
        read([DUMP + b"CREATE TABLE public.more ();\n"])


def test_an_end_marker_inside_rows_is_data():
    with pytest.raises(DumpIncomplete, match=r"middle of public\.t"):
        read([b"COPY public.t (a) FROM stdin;\n-- PostgreSQL database dump complete\n"])


def test_entry_and_place_are_told_to_rewrite():
    seen = []

    def note(reader, piece):
        if reader.in_copy:
            seen.append((reader.entry.name, reader.entry.type, piece))
        return piece

    reader = DumpReader(note)
    assert b"".join(reader.through([DUMP])) == DUMP
    assert ("t", "TABLE DATA", b"1\tx\n2\t\\\\.\n3\t'\n") in seen
    assert not any(name == "lie" for name, _, _ in seen)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_names_survive_quoting(name):
    assert unquote(quote(name).encode()) == name


def test_qualified_quotes_only_what_needs_it():
    assert qualified("public", "flights_2013") == "public.flights_2013"
    assert qualified("My Schema", 'a"b') == '"My Schema"."a""b"'


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=3)
    )
)
def test_rows_are_counted_whatever_is_in_them(rows):
    escape = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
    lines = "".join("\t".join(cell.translate(escape) for cell in row) + "\n" for row in rows)
    data = f"COPY public.t (a) FROM stdin;\n{lines}\\.\n-- PostgreSQL database dump complete\n".encode()
    assert read([data[i : i + 13] for i in range(0, len(data), 13)]).tables == {"public.t": len(rows)}
