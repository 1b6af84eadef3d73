-- A small wiki: text search, a tree, and revisions kept by a trigger.
CREATE TABLE pages (
    id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    parent integer REFERENCES pages,
    title  text NOT NULL UNIQUE,
    body   text NOT NULL,
    words  tsvector GENERATED ALWAYS AS (to_tsvector('english', title || ' ' || body)) STORED
);

CREATE TABLE revisions (
    page   integer NOT NULL REFERENCES pages,
    number integer NOT NULL,
    body   text NOT NULL,
    PRIMARY KEY (page, number)
);

CREATE FUNCTION keep_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO revisions
    SELECT old.id, 1 + count(*), old.body FROM revisions WHERE page = old.id;
    RETURN new;
END
$$;

CREATE TRIGGER keep_revision BEFORE UPDATE OF body ON pages FOR EACH ROW EXECUTE FUNCTION keep_revision();

INSERT INTO pages (parent, title, body)
SELECT nullif(n / 5, 0), 'Page ' || n, repeat('Backups are claims; restores are proofs. ', 1 + n % 7)
FROM generate_series(1, 200) n;
UPDATE pages SET body = body || 'First edit of page ' || id || '.' WHERE id % 2 = 0;
UPDATE pages SET body = upper(body) WHERE id % 3 = 0;
CREATE INDEX pages_words ON pages USING gin (words);
ANALYZE;
