-- One login per service, with what it needs and no more. Passwords are set after the migrations, at each start.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['writer', 'api', 'vector', 'grafana'] LOOP
        -- Roles belong to the server: another database of it may have made them.
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role);
        END IF;
    END LOOP;
    -- Nobody gets anything by being somebody: no default connection, no temporary tables, no objects in public.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO writer, api, vector, grafana', current_database());
    -- The writer's second path stages a batch in a temporary table.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO writer', current_database());
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO writer, api, vector, grafana;

-- COPY reads the column types first, and ON CONFLICT reads the index: both need SELECT.
GRANT INSERT, SELECT ON stock_prices TO writer;

GRANT SELECT ON stock_prices TO api, grafana;
GRANT pg_read_all_stats TO grafana;   -- sizes, checkpoints, cache hits

-- A dashboard's viewer can send any SELECT: bound what one may cost.
ALTER ROLE grafana SET statement_timeout = '10s';
ALTER ROLE grafana SET default_transaction_read_only = on;
ALTER ROLE api SET default_transaction_read_only = on;
