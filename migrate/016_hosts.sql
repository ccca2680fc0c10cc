-- A host that dies, or is cut off, says no word of it, and by Linux's own settings its sessions would stay for two hours. A
-- writer's may be in the midst of a COPY: then whoever is to store its rows instead waits for the end of its transaction.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['writer', 'api', 'vector', 'grafana'] LOOP
        EXECUTE format('ALTER ROLE %I SET tcp_keepalives_idle = 5', role);
        EXECUTE format('ALTER ROLE %I SET tcp_keepalives_interval = 3', role);
        EXECUTE format('ALTER ROLE %I SET tcp_keepalives_count = 3', role);
    END LOOP;
END $$;

-- Nobody is asked whether he is there while he owes an answer to what was sent. Not for those that read: it would end the
-- session of one that is well, but slow.
ALTER ROLE writer SET tcp_user_timeout = '12s';
