-- Days of stock_prices: made ahead, and dropped when they are too old. An operator may call each of these.

-- One row, written by each start from RETENTION_DAYS. Not an argument: who may call must not be able to drop it all.
CREATE TABLE retention (days int NOT NULL CHECK (days > 0));
INSERT INTO retention VALUES (365);

CREATE FUNCTION utc_day(moment timestamptz) RETURNS date LANGUAGE sql IMMUTABLE
    RETURN (moment AT TIME ZONE 'UTC')::date;

CREATE FUNCTION partition_name(day date) RETURNS name LANGUAGE sql STABLE
    RETURN 'stock_prices_' || to_char(day, 'YYYYMMDD');

CREATE FUNCTION has_strays(day date) RETURNS boolean LANGUAGE sql STABLE
    RETURN EXISTS (SELECT FROM stock_prices_default
                   WHERE timestamp >= day::timestamp AT TIME ZONE 'UTC' AND timestamp < (day + 1)::timestamp AT TIME ZONE 'UTC');

CREATE FUNCTION has_partition(day date) RETURNS boolean LANGUAGE sql STABLE
    RETURN EXISTS (SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                   WHERE inhparent = 'stock_prices'::regclass AND relname = partition_name(day));

-- Strays move out of the default first: PostgreSQL refuses the partition otherwise. Nobody may read meanwhile: a query that
-- was planned before would find the strays neither here nor there. False: it is there already.
CREATE FUNCTION make_partition(day date) RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    made   name        := partition_name(day);
    first  timestamptz := day::timestamp AT TIME ZONE 'UTC';
    next   timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
    strays boolean;
BEGIN
    PERFORM FROM retention FOR UPDATE;   -- one at a time; of the services nobody may lock this, as anybody may an advisory lock
    IF has_partition(day) THEN
        RETURN false;
    END IF;
    strays := has_strays(day);
    IF strays THEN
        LOCK TABLE ONLY stock_prices IN ACCESS EXCLUSIVE MODE;
    END IF;
    -- ATTACH wants this lock too; taken now, no stray can follow those that move.
    LOCK TABLE stock_prices_default IN ACCESS EXCLUSIVE MODE;
    IF NOT strays AND has_strays(day) THEN
        RAISE lock_not_available USING MESSAGE = 'ticks of a day without a partition came while it was made';
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE stock_prices)', made);
    IF strays THEN
        EXECUTE format('WITH strays AS (DELETE FROM stock_prices_default WHERE timestamp >= %L AND timestamp < %L RETURNING *)
                        INSERT INTO public.%I SELECT * FROM strays', first, next, made);
    END IF;
    EXECUTE format('ALTER TABLE stock_prices ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', made, first, next);
    RETURN true;
END $$;

-- How many were made: those of a range that weren't there.
CREATE FUNCTION make_partitions(first date, last date) RETURNS bigint LANGUAGE sql
    RETURN (SELECT count(*) FILTER (WHERE make_partition(day::date)) FROM generate_series(first, last, interval '1 day') AS day);

-- The first day that is kept, counted from the newest tick if that is older: a market that ended drops nothing.
CREATE FUNCTION first_day_kept() RETURNS date LANGUAGE sql STABLE AS $$
    SELECT least(utc_day(now()), utc_day(max(newest.last_at))) - (SELECT days FROM retention)
    FROM stock_names() AS stock CROSS JOIN LATERAL (
        SELECT last_at FROM candles WHERE stock_name = stock AND minutes = 1 ORDER BY start DESC LIMIT 1
    ) AS newest
$$;

-- Whole days that are too old, the oldest first; how many were dropped. Candles stay.
CREATE FUNCTION drop_old_partitions(most int DEFAULT NULL) RETURNS int LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    old     regclass;
    dropped int := 0;
BEGIN
    FOR old IN
        SELECT inhrelid FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'stock_prices'::regclass AND relname ~ '_\d{8}$' AND relname < partition_name(first_day_kept())
        ORDER BY relname
        LIMIT most
    LOOP
        EXECUTE format('DROP TABLE %s', old);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

-- The next thing that is due, by whoever comes first: to be called until nothing is made. Days to come; then one day that has
-- strays; then the end of two old days at most, as a clock that jumps ahead must not drop them all at once. One thing in each
-- transaction, since what waits for a lock, or holds one, keeps all others waiting. What can't be had within half a second
-- is a problem to tell, and for the next call to try again.
CREATE FUNCTION keep_partitions(OUT made bigint, OUT dropped int, OUT problem text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    today date := utc_day(now());
    stray date;
BEGIN
    made := 0;
    dropped := 0;
    PERFORM FROM retention FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT count(*) FILTER (WHERE make_partition(day::date)) INTO made
    FROM generate_series(today, today + 3, interval '1 day') AS day
    WHERE NOT has_partition(day::date) AND NOT has_strays(day::date);
    IF made = 0 THEN
        SELECT min(utc_day(timestamp)) INTO stray FROM stock_prices_default
        WHERE utc_day(timestamp) <= today + 3 AND NOT has_partition(utc_day(timestamp));
        IF stray IS NULL THEN
            dropped := drop_old_partitions(2);
        ELSE
            made := make_partition(stray)::int;
        END IF;
    END IF;
EXCEPTION WHEN lock_not_available OR deadlock_detected OR duplicate_table THEN
    made := 0;
    problem := SQLERRM;
END $$;

REVOKE ALL ON FUNCTION utc_day, partition_name, has_strays, has_partition, make_partition, make_partitions, first_day_kept,
    drop_old_partitions, keep_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keep_partitions TO writer;

SELECT keep_partitions();
