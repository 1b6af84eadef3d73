-- A shop's database of about 800 MB of SQL text, the same each time: one table has four fifths of it. Values have the
-- entropy of real ones (times, amounts, tokens, addresses, prose of a skewed vocabulary), so that compression finds what it
-- finds in life: a third remains. Nothing is filler.
SELECT setseed(0.25);

CREATE TEMPORARY TABLE words AS
SELECT n, string_agg(substr('bcdfghklmnprstvwz', 1 + floor(17 * random())::int, 1)
                     || substr('aeiouy', 1 + floor(6 * random())::int, 1), '') AS word
FROM generate_series(0, 4999) n, LATERAL generate_series(0, n % 4) syllable
GROUP BY n;
CREATE UNIQUE INDEX ON words (n);

-- Some words are frequent and most are rare, as in any language.
CREATE TEMPORARY TABLE picks AS
SELECT sentence, position, floor(5000 * power(random(), 3))::int AS n
FROM generate_series(0, 59999) sentence, LATERAL generate_series(0, 3 + sentence % 13) position;
CREATE TABLE sentences AS
SELECT sentence AS n, initcap(left(string_agg(word, ' ' ORDER BY position), 1))
                      || substr(string_agg(word, ' ' ORDER BY position), 2) || '.' AS text
FROM picks JOIN words USING (n) GROUP BY sentence;
CREATE UNIQUE INDEX ON sentences (n);
ANALYZE words, sentences;

CREATE TABLE customers (
    id integer PRIMARY KEY,
    email text NOT NULL,
    name text NOT NULL,
    country char(2) NOT NULL,
    created_at timestamptz NOT NULL,
    balance numeric(12, 2) NOT NULL,
    profile jsonb NOT NULL
);
INSERT INTO customers
SELECT picked.n, a.word || '.' || b.word || picked.n || '@' || c.word || '.example', initcap(a.word) || ' ' || initcap(b.word),
       substr('DEFRGBUSNLITESPLSEDK', 1 + 2 * floor(10 * power(random(), 2))::int, 2),
       timestamptz '2021-01-01 00:00Z' + picked.n * interval '13 minutes' + random() * interval '13 minutes',
       round((random() * random() * 5000 - 100)::numeric, 2),
       jsonb_build_object('newsletter', random() < 0.3, 'theme', CASE WHEN random() < 0.8 THEN 'light' ELSE 'dark' END,
                          'points', floor(random() * 9000), 'token', md5(random()::text))
FROM (SELECT n, floor(5000 * random())::int AS a, floor(5000 * random())::int AS b, floor(5000 * power(random(), 4))::int AS c
      FROM generate_series(1, 160000) n OFFSET 0) picked
JOIN words a ON a.n = picked.a JOIN words b ON b.n = picked.b JOIN words c ON c.n = picked.c
ORDER BY picked.n;

CREATE TABLE orders (
    id integer PRIMARY KEY,
    customer_id integer NOT NULL,
    placed_at timestamptz NOT NULL,
    status text NOT NULL,
    total numeric(10, 2) NOT NULL,
    address text
);
INSERT INTO orders
SELECT picked.n, 1 + floor(160000 * power(random(), 2))::int,
       timestamptz '2022-01-01 00:00Z' + picked.n * interval '4 minutes' + random() * interval '4 minutes',
       (ARRAY['paid', 'shipped', 'returned', 'open', 'cancelled'])[1 + floor(5 * power(random(), 3))::int],
       round((5 + 400 * power(random(), 3))::numeric, 2),
       CASE WHEN random() < 0.9 THEN floor(200 * random()) || ' ' || text END
FROM (SELECT n, floor(60000 * random())::int AS s FROM generate_series(1, 400000) n OFFSET 0) picked
JOIN sentences ON sentences.n = picked.s
ORDER BY picked.n;

CREATE TABLE order_lines (
    order_id integer NOT NULL,
    line smallint NOT NULL,
    sku text NOT NULL,
    quantity smallint NOT NULL,
    price numeric(8, 2) NOT NULL,
    PRIMARY KEY (order_id, line)
);
INSERT INTO order_lines
SELECT n, line, 'SKU-' || lpad(floor(90000 * power(random(), 2))::text, 6, '0'), 1 + floor(4 * power(random(), 4)),
       round((1 + 200 * power(random(), 3))::numeric, 2)
FROM generate_series(1, 400000) n, LATERAL generate_series(1, 1 + n % 3) line;

CREATE TABLE documents (
    id integer PRIMARY KEY,
    title text NOT NULL,
    body text NOT NULL,
    meta jsonb NOT NULL
);
INSERT INTO documents
SELECT picked.n, min(text), string_agg(text, ' '), jsonb_build_object('sha', md5(random()::text), 'version', picked.n % 17, 'draft', picked.n % 5 = 0)
FROM (SELECT n, floor(60000 * random())::int AS s
      FROM generate_series(1, 15000) n, LATERAL generate_series(1, 10 + n % 60) OFFSET 0) picked
JOIN sentences ON sentences.n = picked.s
GROUP BY picked.n ORDER BY picked.n;

CREATE TABLE events (
    id bigint NOT NULL,
    at timestamptz NOT NULL,
    customer_id integer NOT NULL,
    kind text NOT NULL,
    amount numeric(12, 4),
    note text NOT NULL,
    payload jsonb NOT NULL
);
