-- Names that are legal and that nobody expects.
CREATE SCHEMA "Archiv für ""Alles""";
CREATE TABLE "Archiv für ""Alles"""."naïve café 北京 🦖" ("primary" integer PRIMARY KEY, "größe in m²" numeric, "it's" text);
CREATE TABLE "Archiv für ""Alles"""."a.b" ("c.d" integer, "e""f" integer, "(g, h)" integer);
CREATE TABLE "Mixed Case" ("ID" integer PRIMARY KEY, "select" text, "with space" text, "comma, and ) paren" text);
CREATE TABLE "public.tickets" (a integer);
CREATE TABLE "has ""quotes""" ("""" integer, "''" integer);
CREATE TABLE "COPY fake (a) FROM stdin;" ("FROM stdin;" integer, "\." integer);
CREATE TABLE "semi;colon -- comment /*" (a integer);
CREATE TABLE "back\slash" ("col\umn" integer, "\\" integer);
CREATE TABLE "trailing space " (" " integer);
CREATE TABLE "tab	in name" ("a	b" integer);
CREATE TABLE "%s %(x)s {y} $1 $$" ("%" integer);
CREATE TABLE "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" (a integer);
CREATE TABLE "new
line" ("col
umn" integer, "
COPY fake (a) FROM stdin;
" integer);
INSERT INTO "Archiv für ""Alles"""."naïve café 北京 🦖" SELECT n, n / 7.0, 'é' || n FROM generate_series(1, 10) n;
INSERT INTO "Archiv für ""Alles"""."a.b" VALUES (1, 2, 3);
INSERT INTO "Mixed Case" VALUES (1, 'one', '', NULL), (2, '\.', '\N', '-- x');
INSERT INTO "public.tickets" VALUES (1), (2);
INSERT INTO "has ""quotes""" VALUES (1, 2);
INSERT INTO "COPY fake (a) FROM stdin;" VALUES (1, 2), (3, 4);
INSERT INTO "semi;colon -- comment /*" VALUES (5);
INSERT INTO "back\slash" VALUES (6, 7);
INSERT INTO "trailing space " VALUES (8);
INSERT INTO "tab	in name" VALUES (9);
INSERT INTO "%s %(x)s {y} $1 $$" VALUES (10);
INSERT INTO "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" VALUES (11);
INSERT INTO "new
line" VALUES (12, 13), (14, 15);
CREATE FUNCTION "Función ""rara"""("arg uno" integer) RETURNS integer LANGUAGE sql AS 'SELECT "arg uno"';
CREATE INDEX "index; drop" ON "Mixed Case" ("select");
COMMENT ON TABLE "Mixed Case" IS E'two\nlines\n\\.\n-- PostgreSQL database dump complete\n';
COMMENT ON COLUMN "Mixed Case"."with space" IS 'with ''quotes'' and \ and 🦖';
