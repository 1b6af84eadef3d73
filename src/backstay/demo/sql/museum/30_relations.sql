-- Partitions, inheritance, foreign keys in a cycle, exclusion, deferred checks.
CREATE TABLE visits (
    day date NOT NULL, hall text NOT NULL, visitors integer NOT NULL, PRIMARY KEY (day, hall)
) PARTITION BY RANGE (day);
CREATE TABLE visits_2024 PARTITION OF visits FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE visits_2025 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (hall);
CREATE TABLE visits_2025_east PARTITION OF visits_2025 FOR VALUES IN ('east', 'Ost');
CREATE TABLE visits_2025_other PARTITION OF visits_2025 DEFAULT;
CREATE TABLE visits_rest (visitors integer NOT NULL, hall text NOT NULL, junk integer, day date NOT NULL);
ALTER TABLE visits_rest DROP COLUMN junk;
ALTER TABLE visits ATTACH PARTITION visits_rest DEFAULT;
CREATE INDEX visits_by_hall ON visits (hall);
INSERT INTO visits
SELECT date '2023-06-01' + n / 3, (ARRAY['east', 'west', 'Ost'])[1 + n % 3], n % 97 FROM generate_series(0, 2999) n;

CREATE TABLE tokens (id bigint NOT NULL, t text) PARTITION BY HASH (id);
CREATE TABLE tokens_0 PARTITION OF tokens FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE tokens_1 PARTITION OF tokens FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO tokens SELECT n, md5(n::text) FROM generate_series(1, 1000) n;

CREATE TABLE works (id integer PRIMARY KEY, title text NOT NULL DEFAULT 'untitled', year integer);
CREATE TABLE paintings (medium text, CHECK (year > 1000)) INHERITS (works);
ALTER TABLE paintings ALTER COLUMN title SET DEFAULT 'untitled painting';
INSERT INTO works VALUES (1, 'Stone', -500), (2, DEFAULT, NULL);
INSERT INTO paintings (id, year, medium) SELECT n, 1500 + n, 'oil' FROM generate_series(10, 60) n;

CREATE TABLE halls (id integer PRIMARY KEY, keeper integer, above integer REFERENCES halls);
CREATE TABLE keepers (id integer PRIMARY KEY, hall integer NOT NULL REFERENCES halls DEFERRABLE INITIALLY DEFERRED);
INSERT INTO halls SELECT n, n, nullif(n + 1, 51) FROM generate_series(50, 1, -1) n;
INSERT INTO keepers SELECT n, 51 - n FROM generate_series(1, 50) n;
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE halls ADD CONSTRAINT kept FOREIGN KEY (keeper) REFERENCES keepers ON DELETE SET NULL DEFERRABLE;
ALTER TABLE keepers ADD CONSTRAINT never_checked CHECK (id < 10) NOT VALID;

CREATE TABLE tours (
    hall   integer NOT NULL REFERENCES halls,
    during tstzrange NOT NULL,
    CONSTRAINT one_at_a_time EXCLUDE USING gist (hall WITH =, during WITH &&) DEFERRABLE INITIALLY DEFERRED,
    UNIQUE NULLS NOT DISTINCT (during)
);
INSERT INTO tours
SELECT 1 + n % 50, tstzrange(timestamptz '2026-01-01 09:00+00' + n * interval '1 hour', timestamptz '2026-01-01 10:00+00' + n * interval '1 hour')
FROM generate_series(1, 200) n;

CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', dbname 'nowhere');
CREATE FOREIGN TABLE loans (id integer OPTIONS (column_name 'number'), lender text) SERVER elsewhere OPTIONS (table_name 'loans');
