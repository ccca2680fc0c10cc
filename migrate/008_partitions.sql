-- Days of stock_prices: made ahead, and dropped when they are too old. An operator may call each of these.

-- One row, written by each start from RETENTION_DAYS. Not an argument: who may call must not be able to drop it all.
CREATE TABLE retention (days int NOT NULL CHECK (days > 0));
INSERT INTO retention VALUES (365);

CREATE FUNCTION utc_day(moment timestamptz) RETURNS date LANGUAGE sql IMMUTABLE
    RETURN (moment AT TIME ZONE 'UTC')::date;

CREATE FUNCTION partition_name(day date) RETURNS name LANGUAGE sql STABLE
    RETURN 'stock_prices_' || to_char(day, 'YYYYMMDD');

-- Strays move out of the default first: PostgreSQL refuses the partition otherwise. False: it is there already.
CREATE FUNCTION make_partition(day date) RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '1s' AS $$
DECLARE
    made  name        := partition_name(day);
    first timestamptz := day::timestamp AT TIME ZONE 'UTC';
    next  timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    PERFORM pg_advisory_xact_lock('stock_prices'::regclass::oid::bigint);
    IF EXISTS (SELECT FROM pg_class WHERE relname = made) THEN
        RETURN false;
    END IF;
    -- ATTACH wants this lock too; taken now, no stray can follow those that move.
    LOCK TABLE stock_prices_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE %I (LIKE stock_prices)', made);
    EXECUTE format('WITH strays AS (DELETE FROM stock_prices_default WHERE timestamp >= %L AND timestamp < %L RETURNING *)
                    INSERT INTO %I SELECT * FROM strays', first, next, made);
    EXECUTE format('ALTER TABLE stock_prices ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', made, first, next);
    RETURN true;
END $$;

-- How many were made: those of a range that weren't there.
CREATE FUNCTION make_partitions(first date, last date) RETURNS bigint LANGUAGE sql
    RETURN (SELECT count(*) FILTER (WHERE make_partition(day::date)) FROM generate_series(first, last, interval '1 day') AS day);

-- The first day that is kept, counted from the newest tick where no tick is newer: a clock that jumps ahead, or a market
-- that ended, drops nothing.
CREATE FUNCTION first_day_kept() RETURNS date LANGUAGE sql STABLE AS $$
    SELECT least(utc_day(now()), utc_day(max(newest.last_at))) - (SELECT days FROM retention)
    FROM stock_names() AS stock CROSS JOIN LATERAL (
        SELECT last_at FROM candles WHERE stock_name = stock AND minutes = 1 ORDER BY start DESC LIMIT 1
    ) AS newest
$$;

-- Whole days that are too old, and strays of such days. How many were dropped. Candles stay.
CREATE FUNCTION drop_old_partitions() RETURNS int LANGUAGE plpgsql SET lock_timeout = '1s' AS $$
DECLARE
    kept    date := first_day_kept();
    old     regclass;
    dropped int := 0;
BEGIN
    FOR old IN
        SELECT inhrelid FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'stock_prices'::regclass AND relname ~ '_\d{8}$' AND relname < partition_name(kept)
    LOOP
        EXECUTE format('DROP TABLE %s', old);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM stock_prices_default WHERE timestamp < kept::timestamp AT TIME ZONE 'UTC';
    RETURN dropped;
END $$;

-- What has to be done now and then, by whoever comes first; safe to call at any time. A lock that isn't had within a
-- second is a problem to tell, and for the next call to try again: what waits for a lock keeps all others waiting.
-- Dropping comes first, as it locks the whole table: the other way round a reader and this could wait for each other.
CREATE FUNCTION keep_partitions(OUT made bigint, OUT dropped int, OUT problem text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    today date := utc_day(now());
BEGIN
    made := 0;
    dropped := 0;
    IF NOT pg_try_advisory_xact_lock('stock_prices'::regclass::oid::bigint) THEN
        RETURN;
    END IF;
    BEGIN
        dropped := drop_old_partitions();
    EXCEPTION WHEN lock_not_available THEN
        problem := 'old days are not dropped: ' || SQLERRM;
    END;
    BEGIN
        made := make_partitions(today, today + 3);
        SELECT made + count(*) FILTER (WHERE make_partition(day)) INTO made
        FROM (SELECT DISTINCT utc_day(timestamp) AS day FROM stock_prices_default) AS strays
        WHERE day <= today + 3;
    EXCEPTION WHEN lock_not_available THEN
        made := 0;
        problem := concat_ws('; ', problem, 'days are not made: ' || SQLERRM);
    END;
END $$;

REVOKE ALL ON FUNCTION utc_day, partition_name, make_partition, make_partitions, first_day_kept, drop_old_partitions,
    keep_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keep_partitions TO writer;

SELECT keep_partitions();
