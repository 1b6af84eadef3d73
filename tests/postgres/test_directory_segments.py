"""How tables are cut: every page in exactly one part, and the names of parts in the order of their pages."""

from hypothesis import given
from hypothesis import strategies as st

from backstay.tiers.postgres.directory import segments
from backstay.tiers.postgres.directory.segments import Table, cut

PAGE = 8192


def table(number, blocks, toast=0, heap=True, columns="(a)", namespace="public"):
    return Table(f"{namespace}.t{number}", number, namespace, f"t{number}", f"{namespace}.t{number}", "o", blocks,
                 blocks * PAGE + toast, heap, columns)  # fmt: skip


tables = st.lists(
    st.builds(
        lambda blocks, toast, heap, columns, namespace: (blocks, toast, heap, columns, namespace),
        st.integers(0, 5) | st.integers(0, 10_000_000),
        st.just(0) | st.integers(0, 1 << 44),
        st.booleans() | st.just(True),
        st.sampled_from(["(a)", "(a, b)", ""]),
        st.sampled_from(["public", "_timescaledb_internal"]),
    ),
    max_size=8,
).map(lambda rows: [table(number, *row) for number, row in enumerate(rows)])


@given(tables, st.integers(1, 32), st.sampled_from([140000, 180006]))
def test_every_page_is_in_exactly_one_part(found, workers, version):
    parts = cut(found, workers, version)
    for one in found:
        own = sorted((part for part in parts if part.table is one), key=lambda part: part.number)
        assert [part.number for part in own] == list(range(1, len(own) + 1))
        assert {part.of for part in own} == {len(own)}
        assert own[0].first == 0
        assert own[-1].end is None  # pages that came since are read too: the snapshot keeps their rows out
        assert [part.end for part in own[:-1]] == [part.first for part in own[1:]]
        assert all(part.first < part.end for part in own[:-1])
        assert len(own) <= max(1, one.blocks)
        assert [part.is_last for part in own] == [False] * (len(own) - 1) + [True]
    assert [part.size_bytes for part in parts] == sorted((part.size_bytes for part in parts), reverse=True)


@given(st.integers(2, 99_999))
def test_names_of_parts_sort_in_the_order_of_their_pages(of):
    one = table(1, of)
    numbers = sorted({1, 2, 9, 10, 99, 100, of // 2 or 1, of - 1, of})
    roles = [segments.Segment(one, number, of, 0, None, 1).file.role for number in numbers if number <= of]
    assert roles == sorted(roles)
    assert len({len(role) for role in roles}) == 1


@given(tables, st.integers(1, 32))
def test_an_old_server_or_a_single_worker_reads_whole_tables(found, workers):
    assert all(part.of == 1 for part in [*cut(found, workers, 130000), *cut(found, 1, 180000)])


def test_what_has_no_range_of_pages_is_whole():
    found = [
        table(1, 1_000_000, heap=False),
        table(2, 1_000_000, columns=""),
        table(3, 1_000_000, namespace="_timescaledb_internal"),
    ]
    assert [part.of for part in cut(found, 4, 180000)] == [1, 1, 1]


def test_conditions_meet_and_the_whole_table_has_none():
    one = table(1, 1000, columns='(a, "B")')
    parts = [
        segments.Segment(one, number, 3, *bounds, 1) for number, bounds in enumerate(((0, 5), (5, 9), (9, None)), 1)
    ]
    assert [part.range for part in parts] == ["ctid < '(5,0)'", "ctid >= '(5,0)' AND ctid < '(9,0)'", "ctid >= '(9,0)'"]
    assert parts[1].copy == (
        "COPY (SELECT a, \"B\" FROM ONLY public.t1 WHERE ctid >= '(5,0)' AND ctid < '(9,0)') TO STDOUT"
    )
    whole = segments.Segment(one, 1, 1, 0, None, 1)
    assert whole.copy == 'COPY public.t1 (a, "B") TO STDOUT'
    assert whole.file.part == ""


def test_a_large_table_with_toast_in_few_pages_is_cut_to_its_pages():
    (only,) = cut([table(1, 1, toast=1 << 40)], 4, 180000)
    assert (only.first, only.end) == (0, None)
    assert len(cut([table(1, 3, toast=1 << 40)], 4, 180000)) == 3
