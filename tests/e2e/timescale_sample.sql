-- A small but real TimescaleDB database: what a backup of one has to bring back.
-- Two hypertables (203,040 rows in 40 chunks), one of them with a space dimension too, with indexes, a check, a
-- foreign key to a plain table and a trigger; names that need quotes; a job. No continuous aggregate, no compression
-- and no add_job(): they need the Timescale licence, and Debian's build has the Apache part only.
CREATE EXTENSION timescaledb;

CREATE SCHEMA "Plant 7";

CREATE TABLE devices (
    id integer PRIMARY KEY,
    name text NOT NULL UNIQUE,
    site text NOT NULL
);
INSERT INTO devices SELECT n, 'device-' || n, 'site-' || n % 5 FROM generate_series(1, 40) AS n;

CREATE TABLE readings (
    at timestamptz NOT NULL,
    device integer NOT NULL REFERENCES devices,
    temperature double precision CHECK (temperature > -273.15),
    note text
);
SELECT create_hypertable('readings', by_range('at', INTERVAL '7 days'));
CREATE INDEX readings_device_at ON readings (device, at DESC);
INSERT INTO readings
SELECT at, device, 20 + 10 * sin(extract(epoch FROM at) / 86400 + device), NULLIF(repeat('x', device % 4), '')
FROM generate_series(timestamptz '2026-01-01 00:00:00+00', '2026-03-25 23:30:00+00', INTERVAL '30 minutes') AS at,
     generate_series(1, 40) AS device;

CREATE TABLE "Plant 7"."Odd ""Events""" (
    id bigint GENERATED ALWAYS AS IDENTITY,
    "When" timestamptz NOT NULL,
    kind text NOT NULL,
    payload jsonb,
    size integer GENERATED ALWAYS AS (length(kind)) STORED,
    PRIMARY KEY (id, "When", kind)
);
SELECT create_hypertable('"Plant 7"."Odd ""Events"""', by_range('When', INTERVAL '10 days'));
SELECT add_dimension('"Plant 7"."Odd ""Events"""', by_hash('kind', 4));
INSERT INTO "Plant 7"."Odd ""Events""" ("When", kind, payload)
SELECT timestamptz '2026-02-01 00:00:00+00' + n * INTERVAL '2 minutes', 'kind-' || n % 9, jsonb_build_object('n', n)
FROM generate_series(1, 41760) AS n;

CREATE TABLE audit (at timestamptz NOT NULL DEFAULT now(), said text NOT NULL);

CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (said) VALUES (TG_TABLE_NAME || ' ' || TG_OP);
    RETURN NEW;
END $$;
CREATE TRIGGER readings_changed AFTER UPDATE ON readings FOR EACH ROW EXECUTE FUNCTION note_change();

CREATE PROCEDURE tick(job_id integer, config jsonb) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (said) VALUES ('tick ' || job_id);
END $$;
-- What add_job() writes. This build starts no such job either, but a backup has to bring the row back.
INSERT INTO _timescaledb_config.bgw_job (application_name, schedule_interval, max_runtime, max_retries, retry_period,
    proc_schema, proc_name, owner, scheduled, fixed_schedule, config)
VALUES ('User-Defined Action [1000]', '1 hour', '0', -1, '5 minutes', 'public', 'tick', 'postgres', true, false,
    '{"why": "sample"}');

CREATE VIEW daily AS
SELECT time_bucket('1 day', at) AS day, device, avg(temperature) AS temperature FROM readings GROUP BY 1, 2;
