-- What only a superuser may make: extensions in a schema of their own, and settings of the database itself.
CREATE SCHEMA ext;
CREATE EXTENSION citext SCHEMA ext;
CREATE EXTENSION hstore SCHEMA ext;
CREATE EXTENSION pg_trgm SCHEMA ext;
CREATE EXTENSION btree_gist SCHEMA ext;
CREATE EXTENSION ltree SCHEMA ext;
CREATE EXTENSION postgres_fdw SCHEMA ext;
COMMENT ON EXTENSION citext IS 'text that ignores case; the comment is our own';
GRANT USAGE ON SCHEMA ext TO PUBLIC;
GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO museum;

DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path TO public, ext', current_database());
    EXECUTE format('ALTER DATABASE %I SET work_mem TO %L', current_database(), '5MB');
    EXECUTE format('ALTER ROLE museum_guide IN DATABASE %I SET statement_timeout TO %L', current_database(), '42s');
    EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), E'everything that breaks naive tools\nCOPY fake (a) FROM stdin;\n\\.\n');
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO museum_guide', current_database());
END
$$;

CREATE FUNCTION public.watch_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; END $$;
CREATE EVENT TRIGGER watch_ddl ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.watch_ddl();
