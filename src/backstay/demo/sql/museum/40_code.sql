-- Functions whose bodies look like parts of a dump, views, triggers, rules.
CREATE FUNCTION misleading(n integer DEFAULT 3, VARIADIC rest text[] DEFAULT '{}') RETURNS SETOF text
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 12 SET search_path = public AS $body$
BEGIN
    RETURN NEXT '
COPY fake (a) FROM stdin;
1
\.

--
-- PostgreSQL database dump complete
--
\unrestrict fake
';
    RETURN NEXT $inner$
COPY public.tickets (id, other) FROM stdin;
$inner$;
END
$body$;
COMMENT ON FUNCTION misleading(integer, text[]) IS '
COPY fake (a) FROM stdin;
not a row
\.
-- PostgreSQL database dump complete
';

CREATE FUNCTION doubled(n numeric) RETURNS numeric IMMUTABLE STRICT BEGIN ATOMIC SELECT n * 2; END;
CREATE PROCEDURE tidy(INOUT n integer) LANGUAGE sql SECURITY DEFINER AS 'SELECT n + 1';
CREATE AGGREGATE multiply(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1');
CREATE OPERATOR ==> (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = numeric_gt);
CREATE TEXT SEARCH CONFIGURATION captions (COPY = simple);

CREATE VIEW ticket_days AS SELECT bought::date AS day, sum(total) AS total, doubled(sum(total)) FROM tickets GROUP BY 1;
CREATE VIEW cheap_tickets WITH (security_barrier) AS SELECT id, price FROM tickets WHERE price < 20 WITH LOCAL CHECK OPTION;
CREATE RECURSIVE VIEW upstairs (id, level) AS SELECT id, 0 FROM halls WHERE above IS NULL
    UNION ALL SELECT halls.id, level + 1 FROM halls JOIN upstairs ON halls.above = upstairs.id;
CREATE MATERIALIZED VIEW hall_totals AS SELECT hall, sum(visitors) AS visitors FROM visits GROUP BY hall;
CREATE UNIQUE INDEX hall_totals_key ON hall_totals (hall);
CREATE MATERIALIZED VIEW best_hall AS SELECT hall FROM hall_totals ORDER BY visitors DESC, hall LIMIT 1;
CREATE MATERIALIZED VIEW not_yet AS SELECT 1 AS one WITH NO DATA;

CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.label := 'stamped'; RETURN new; END $$;
CREATE TRIGGER stamp BEFORE UPDATE ON tickets FOR EACH ROW WHEN (old.price IS DISTINCT FROM new.price) EXECUTE FUNCTION stamp();
CREATE TRIGGER never BEFORE INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION stamp('an argument', 'it''s');
ALTER TABLE tickets DISABLE TRIGGER never;
CREATE TRIGGER always AFTER DELETE ON tickets REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION stamp();
ALTER TABLE tickets ENABLE ALWAYS TRIGGER always;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON keepers DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE RULE no_delete AS ON DELETE TO works DO INSTEAD NOTHING;

CREATE INDEX tickets_by_parity ON tickets ((visitors % 2), price DESC NULLS LAST) INCLUDE (label) WHERE visitors > 2;
CREATE INDEX objects_by_name ON exhibits.objects USING gin (sorted_by ext.gin_trgm_ops);
CREATE INDEX objects_by_fact ON exhibits.objects USING gin (facts jsonb_path_ops);
CREATE INDEX visits_brin ON visits_2024 USING brin (day) WITH (pages_per_range = 4);
ALTER TABLE tickets CLUSTER ON tickets_pkey;
ALTER TABLE tours REPLICA IDENTITY FULL;
CREATE PUBLICATION news FOR TABLE tickets (id, price) WHERE (visitors > 1), works;
