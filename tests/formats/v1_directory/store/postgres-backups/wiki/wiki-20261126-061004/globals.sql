-- What a dump of one database leaves out: its roles, their memberships, and the database itself.
SELECT 'CREATE ROLE "wiki" WITH LOGIN INHERIT' WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'wiki') \gexec
CREATE DATABASE "wiki" TEMPLATE template0 OWNER "wiki" ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8';
