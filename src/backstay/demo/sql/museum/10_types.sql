-- Types of our own, and one row with every value that is hard to write down.
CREATE SCHEMA exhibits;
GRANT USAGE ON SCHEMA exhibits TO museum_guide;

CREATE TYPE exhibits.era AS ENUM ('stone', 'bronze', 'iron', 'it''s now', 'Épöque 🏺');
CREATE TYPE exhibits.size AS (height numeric(6, 2), width numeric(6, 2), unit text);
CREATE DOMAIN exhibits.inventory_number AS text CHECK (VALUE ~ '^[A-Z]{2}-\d+$');
CREATE DOMAIN exhibits.own_number AS exhibits.inventory_number DEFAULT 'XX-0' NOT NULL;
CREATE TYPE exhibits.float_range AS RANGE (subtype = float8, subtype_diff = float8mi, multirange_type_name = exhibits.float_ranges);
CREATE COLLATION exhibits.ordinal (provider = libc, locale = 'C');

CREATE TABLE exhibits.objects (
    number    exhibits.own_number PRIMARY KEY,
    name      ext.citext NOT NULL UNIQUE,
    era       exhibits.era NOT NULL DEFAULT 'iron',
    dimension exhibits.size,
    tags      text[] NOT NULL DEFAULT '{}',
    grid      integer[][],
    facts     jsonb NOT NULL DEFAULT '{"fragile": false}',
    raw       json,
    extra     ext.hstore,
    place     ext.ltree,
    warm      exhibits.float_range,
    shown     datemultirange,
    sorted_by text COLLATE exhibits.ordinal
);

INSERT INTO exhibits.objects
SELECT 'OB-' || n, 'Object ' || n, (enum_range(NULL::exhibits.era))[1 + n % 5],
       CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN (n / 8.0, NULL, 'c"m, \ ')::exhibits.size ELSE (n, n / 2.0, '')::exhibits.size END,
       ARRAY['plain', '', 'NULL', NULL, 'a,b', '{}', 'quote"', 'back\slash', E'tab\t', E'line\n', n::text],
       CASE WHEN n % 2 = 0 THEN ('[0:1][-1:0]={{' || n || ',2},{3,NULL}}')::integer[] END,
       jsonb_build_object('n', n, 'text', E'\\. \t "\u2028" é', 'null', NULL, 'deep', jsonb_build_array(1.50, '{}'::jsonb)),
       '{"b": 1, "a":  2, "b": 3}', ext.hstore(ARRAY['k', n::text, 'empty', '', 'none', NULL]),
       ('hall.' || n || '.case')::ext.ltree, exhibits.float_range(n - 0.1, n + 'Infinity'::float8, '(]'),
       datemultirange(daterange('2020-01-01', '2020-02-01'), daterange('2021-01-01', NULL)), chr(65 + n % 26)
FROM generate_series(1, 500) n;

CREATE TABLE exhibits.hard_values (
    kind text PRIMARY KEY, t text, num numeric, f8 float8, f4 float4, d date, ts timestamptz, iv interval,
    bits varbit, net inet, mac macaddr8, u uuid, pt point, poly polygon, tsq tsquery, lsn pg_lsn, c "char", cls regclass, cash money
);
INSERT INTO exhibits.hard_values (kind, t) VALUES
    ('null', NULL), ('empty', ''), ('the word', 'NULL'), ('copy null', '\N'), ('end marker', '\.'),
    ('end marker on a line', E'before\n\\.\nafter'), ('tab', E'a\tb'), ('newline', E'a\nb'), ('return', E'a\r\nb\r'),
    ('backslash', '\'), ('two backslashes', '\\'), ('a t', '\t'), ('octal', '\101'), ('controls', E'\x01\x07\b\f\x0b\x1f\x7f'),
    ('copy', 'COPY public.fake (a, b) FROM stdin;'), ('complete', '-- PostgreSQL database dump complete'),
    ('unrestrict', '\unrestrict x'), ('connect', '\connect postgres'), ('quotes', '''"`$$'), ('unicode', 'žluťoučký 北京 🦖 ' || U&'\00A0\200B\FEFF'),
    ('long', repeat('0123456789', 50000)), ('spaces', '  '), ('percent', '%s %(x)s {}'), ('wide', repeat('🦖', 10000));
INSERT INTO exhibits.hard_values (kind, num, f8, f4, d, ts, iv) VALUES
    ('not a number', 'NaN', 'NaN', 'NaN', NULL, NULL, NULL),
    ('infinite', 'Infinity', 'Infinity', 'Infinity', 'infinity', 'infinity', interval '999999 years'),
    ('minus infinite', '-Infinity', '-Infinity', '-Infinity', '-infinity', '-infinity', interval '-1 mon +2 days -00:00:00.000001'),
    ('tiny', 1e-300, 5e-324, 1e-45, '4713-01-01 BC', '4713-01-01 00:00:00+00 BC', '1 microsecond'),
    ('third', 0.1 + 0.2, 0.1::float8 + 0.2::float8, 1::float4 / 3, '0044-03-15 BC', '0001-12-31 23:59:59.999999+00 BC', 'PT0S'),
    ('great', 123456789012345678901234567890.123456789, 1.7976931348623157e308, 3.4028235e38, '5874897-12-31', '294276-12-31 23:59:59.999999+00', '1 day 25:00:00'),
    ('minus zero', -0.000, '-0', '-0', '1900-02-28', '1883-11-18 12:03:57+00:01:15', '-1 day');
INSERT INTO exhibits.hard_values (kind, bits, net, mac, u, pt, poly, tsq, lsn, c, cls, cash) VALUES
    ('others', B'', '::ffff:10.0.0.1/96', '08:00:2b:01:02:03:04:05', '00000000-0000-0000-0000-00000000000f', '(1e-300,-0)',
     '((0,0),(1,1e9),(0.1,0))', 'fat & (rat | !''c at'':*)', 'FFFFFFFF/FFFFFFFF', '\', 'exhibits.objects', -12.34),
    ('more', B'0101', '10.0.0.0/8', NULL, NULL, NULL, NULL, '', '0/0', '', 'pg_catalog.pg_class', 0);
