-- The text of a statement is remembered (pg_stat_statements) and may be logged; a parameter isn't.
CREATE FUNCTION set_password(role text, password text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER ROLE %I PASSWORD %L', role, password);
EXCEPTION WHEN OTHERS THEN   -- the log would show the statement that failed
    RAISE EXCEPTION 'the password of % is not set: %', role, SQLERRM USING ERRCODE = SQLSTATE;
END $$;
REVOKE ALL ON FUNCTION set_password FROM PUBLIC;
