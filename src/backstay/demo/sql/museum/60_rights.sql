-- Large objects, row security, and who may do what.
SELECT lo_create(900000);
SELECT lo_from_bytea(900001, '\x00ff5c2e0a');
SELECT lo_from_bytea((900100 + k)::oid, (SELECT decode(string_agg(md5((k * 1000 + n)::text), '' ORDER BY n), 'hex') FROM generate_series(1, 100 * k) n))
FROM generate_series(1, 40) k;
SELECT lo_from_bytea(900200, (SELECT decode(string_agg(md5(n::text), '' ORDER BY n), 'hex') FROM generate_series(1, 65536) n));
SELECT lo_put(900200, 5000000, '\xdeadbeef');
GRANT SELECT ON LARGE OBJECT 900001, 900200 TO museum_guide;
GRANT SELECT ON LARGE OBJECT 900101 TO PUBLIC;
GRANT UPDATE ON LARGE OBJECT 900102 TO museum_guide WITH GRANT OPTION;
COMMENT ON LARGE OBJECT 900200 IS 'the great scan; with a hole';
CREATE TABLE recordings (id integer PRIMARY KEY, sound oid NOT NULL);
INSERT INTO recordings SELECT k, 900100 + k FROM generate_series(1, 40) k;

CREATE TABLE notes (id integer PRIMARY KEY, writer name NOT NULL, secret boolean NOT NULL, t text);
INSERT INTO notes SELECT n, CASE n % 2 WHEN 0 THEN 'museum' ELSE 'museum_guide' END, n % 3 = 0, 'note ' || n FROM generate_series(1, 90) n;
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notes TO museum_guide USING (writer = current_user) WITH CHECK (writer = current_user);
CREATE POLICY "public, read" ON notes AS RESTRICTIVE FOR SELECT USING (NOT secret);

GRANT SELECT ON tickets TO museum_guide WITH GRANT OPTION;
GRANT SELECT (id, title), UPDATE (title) ON works TO PUBLIC;
GRANT USAGE ON SEQUENCE odd_steps TO museum_guide;
REVOKE EXECUTE ON FUNCTION doubled(numeric) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION doubled(numeric) TO museum_guide, "musée d'été";
GRANT USAGE ON TYPE exhibits.era TO museum_guide;
GRANT INSERT ON "Mixed Case" TO "musée d'été";
REVOKE ALL ON notes FROM museum;
GRANT SELECT, INSERT, DELETE ON notes TO museum;
ALTER DEFAULT PRIVILEGES FOR ROLE museum IN SCHEMA exhibits GRANT SELECT ON TABLES TO museum_guide;
ALTER DEFAULT PRIVILEGES FOR ROLE museum REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
