-- One login per service, with what it needs and no more. Passwords come from the environment of whoever runs psql.
\getenv writer_password  POSTGRES_WRITER_PASSWORD
\getenv api_password     POSTGRES_API_PASSWORD
\getenv vector_password  POSTGRES_VECTOR_PASSWORD
\getenv grafana_password POSTGRES_GRAFANA_PASSWORD

CREATE ROLE writer  LOGIN PASSWORD :'writer_password';
CREATE ROLE api     LOGIN PASSWORD :'api_password';
CREATE ROLE vector  LOGIN PASSWORD :'vector_password';
CREATE ROLE grafana LOGIN PASSWORD :'grafana_password';

-- Nobody gets anything by being somebody: no default connection, no temporary tables, no objects in public.
SELECT current_database() AS database \gset
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO writer, api, vector, grafana;
GRANT USAGE ON SCHEMA public TO writer, api, vector, grafana;

-- COPY reads the column types first, and ON CONFLICT reads the index: both need SELECT. The second path of the writer
-- stages a batch in a temporary table.
GRANT INSERT, SELECT ON stock_prices TO writer;
GRANT TEMPORARY ON DATABASE :"database" TO writer;

GRANT SELECT ON stock_prices TO api, grafana;
GRANT pg_read_all_stats TO grafana;   -- sizes, checkpoints, cache hits

-- A dashboard's viewer can send any SELECT: bound what one may cost.
ALTER ROLE grafana SET statement_timeout = '10s';
ALTER ROLE grafana SET default_transaction_read_only = on;
ALTER ROLE api SET default_transaction_read_only = on;
