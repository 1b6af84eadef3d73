"""PostgreSQL: pg_dump out, psql back, everything counted on the way."""
