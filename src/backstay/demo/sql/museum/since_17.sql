-- From PostgreSQL 17 on.
CREATE COLLATION exhibits.code_points (provider = builtin, locale = 'C.UTF-8');
CREATE TABLE numbered (id bigint GENERATED ALWAYS AS IDENTITY, day date NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE numbered_low PARTITION OF numbered FOR VALUES FROM (1) TO (1000);
INSERT INTO numbered (day) SELECT date '2026-01-01' + n FROM generate_series(1, 100) n;
GRANT MAINTAIN ON tickets TO museum_guide;
