-- Who may look at a dashboard may send any SELECT, and a SELECT may call functions that do more than read: hold a lock that
-- others need for their partitions and migrations, or fill the disk. PostgreSQL lets everybody call these; nobody here has to.
DO $$
DECLARE
    called regprocedure;
BEGIN
    FOR called IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
          AND proname ~ '^(pg_(try_)?advisory_(xact_)?lock|lo_|pg_logical_emit_message)'
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', called);
    END LOOP;
END $$;

ALTER ROLE grafana SET temp_file_limit = '1GB';   -- the one limit that a session can't lift by itself
