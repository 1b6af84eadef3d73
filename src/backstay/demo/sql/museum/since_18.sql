-- From PostgreSQL 18 on.
CREATE TABLE prices (
    item    integer NOT NULL,
    valid   daterange NOT NULL,
    net     numeric NOT NULL,
    gross   numeric GENERATED ALWAYS AS (net * 1.2) VIRTUAL,
    PRIMARY KEY (item, valid WITHOUT OVERLAPS),
    CONSTRAINT hoped CHECK (net < 5) NOT ENFORCED
);
INSERT INTO prices (item, valid, net)
SELECT n % 20, daterange(date '2026-01-01' + n, date '2026-01-01' + n + 1), n FROM generate_series(1, 200) n;
CREATE TABLE sales (
    item integer, during daterange, FOREIGN KEY (item, PERIOD during) REFERENCES prices (item, PERIOD valid)
);
INSERT INTO sales SELECT item, valid FROM prices;
ALTER TABLE tokens ADD CONSTRAINT told NOT NULL t NOT VALID;
