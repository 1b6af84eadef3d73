-- A ledger's database of about 400 MB, the same each time: one table has nine tenths of it.
SELECT setseed(0.5);

CREATE TABLE accounts (
    id integer PRIMARY KEY,
    iban text NOT NULL,
    holder text NOT NULL,
    currency char(3) NOT NULL,
    opened_at timestamptz NOT NULL
);
INSERT INTO accounts
SELECT n, 'DE' || lpad(floor(1e10 * random())::bigint::text, 10, '0') || lpad(floor(1e10 * random())::bigint::text, 10, '0'),
       initcap(substr(md5(random()::text), 1, 4 + n % 7)) || ' ' || initcap(substr(md5(random()::text), 1, 5 + n % 9)),
       substr('EURCHFGBPSEK', 1 + 3 * floor(4 * power(random(), 3))::int, 3),
       timestamptz '2019-01-01 00:00Z' + n * interval '40 minutes' + random() * interval '40 minutes'
FROM generate_series(1, 60000) n;

CREATE TABLE transfers (
    id integer PRIMARY KEY,
    account_id integer NOT NULL,
    reference text NOT NULL,
    details jsonb NOT NULL
);
INSERT INTO transfers
SELECT n, 1 + floor(60000 * power(random(), 2))::int, md5(random()::text),
       jsonb_build_object('creditor', substr(md5(random()::text), 1, 12), 'mandate', floor(1e6 * random()), 'batch', n / 400)
FROM generate_series(1, 200000) n;

CREATE TABLE entries (
    id bigint NOT NULL,
    booked_at timestamptz NOT NULL,
    account_id integer NOT NULL,
    amount numeric(14, 2) NOT NULL,
    balance numeric(16, 2) NOT NULL,
    kind text NOT NULL,
    memo text,
    trace uuid NOT NULL
);
