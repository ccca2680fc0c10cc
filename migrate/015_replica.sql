-- Whoever follows this server copies all of it, so it is a role that can do nothing else. Without a password
-- (POSTGRES_REPLICA_PASSWORD) nobody is it.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'replica') THEN
        CREATE ROLE replica LOGIN REPLICATION;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO replica', current_database());   -- it makes its slot there
END $$;
