-- The role that the pipeline reads the OLTP with: it may read five tables, every row of them, and nothing else.
--
-- As the owner of the tables, on the primary (replicas get roles from it):
--   psql --dbname=shop --file=deploy/postgres/reader.sql
-- then give it a password: \password insightmart_reader

CREATE ROLE insightmart_reader LOGIN
    NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION
    CONNECTION LIMIT 8; -- a load holds two connections; a killed one may linger beside the next

-- A row that a policy hides would look deleted. The pipeline refuses to read then; with this it sees every row of the
-- tables below. Only a superuser may give it (from PostgreSQL 16 on also a role that has it and CREATEROLE); without
-- row-level security on any of the five tables it may be left out.
ALTER ROLE insightmart_reader BYPASSRLS;

-- Belt and braces: even a right that is granted by mistake writes nothing.
ALTER ROLE insightmart_reader SET default_transaction_read_only = on;

GRANT USAGE ON SCHEMA public TO insightmart_reader;
GRANT SELECT ON public.orders, public.order_lines, public.refunds, public.customers, public.products
    TO insightmart_reader;
