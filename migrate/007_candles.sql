-- Candles of one minute and of one hour, exact, kept in the transaction that stores the ticks. Open and close go by
-- (timestamp, event_id), not by arrival, so late ticks and parallel writers change nothing. Candles outlive their ticks.
-- Hours are there for averages: those of a year are 8,760 rows, where its minutes are half a million.
CREATE TABLE candles (
    stock_name varchar(255) NOT NULL,
    minutes    smallint     NOT NULL,   -- its width: 1 or 60
    start      timestamptz  NOT NULL,
    open       numeric      NOT NULL,
    high       numeric      NOT NULL,
    low        numeric      NOT NULL,
    close      numeric      NOT NULL,
    sum        numeric      NOT NULL,
    count      bigint       NOT NULL,
    first_at   timestamptz  NOT NULL,   -- of the tick that `open` is from
    first_id   bigint       NOT NULL,
    last_at    timestamptz  NOT NULL,   -- of the tick that `close` is from
    last_id    bigint       NOT NULL,
    PRIMARY KEY (stock_name, minutes, start)
);
GRANT SELECT ON candles TO api, grafana;

-- With the owner's rights: the writer may insert ticks, but not change candles. The least and the greatest array of
-- time, id and price is the first and the last tick: one pass, no sort. By array_agg(… ORDER BY …) it took twice as long.
CREATE FUNCTION count_candles() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    WITH minutes AS MATERIALIZED (
        SELECT stock_name, 1 AS minutes, date_bin('1 minute', timestamp, 'epoch') AS start, min(tick) AS first, max(price) AS high,
               min(price) AS low, max(tick) AS last, sum(price), count(*), min(timestamp) AS first_at, max(timestamp) AS last_at
        FROM (SELECT *, ARRAY[extract(epoch FROM timestamp), event_id, price] AS tick FROM inserted OFFSET 0) AS ticks
        GROUP BY stock_name, 3
    ), hours AS (
        SELECT stock_name, 60, date_bin('1 hour', start, 'epoch') AS start, min(first), max(high), min(low), max(last), sum(sum),
               sum(count)::bigint, min(first_at), max(last_at)
        FROM minutes
        GROUP BY stock_name, 3
    ), new AS (SELECT * FROM minutes UNION ALL SELECT * FROM hours)
    INSERT INTO candles AS candle
    SELECT stock_name, minutes, start, first[3], high, low, last[3], sum, count, first_at, first[2]::bigint, last_at, last[2]::bigint
    FROM new
    ORDER BY stock_name, minutes, start   -- in the same order everywhere, or two writers could wait for each other
    ON CONFLICT (stock_name, minutes, start) DO UPDATE SET
        open     = CASE WHEN (excluded.first_at, excluded.first_id) < (candle.first_at, candle.first_id)
                        THEN excluded.open ELSE candle.open END,
        first_id = CASE WHEN (excluded.first_at, excluded.first_id) < (candle.first_at, candle.first_id)
                        THEN excluded.first_id ELSE candle.first_id END,
        first_at = least(candle.first_at, excluded.first_at),
        close    = CASE WHEN (excluded.last_at, excluded.last_id) > (candle.last_at, candle.last_id)
                        THEN excluded.close ELSE candle.close END,
        last_id  = CASE WHEN (excluded.last_at, excluded.last_id) > (candle.last_at, candle.last_id)
                        THEN excluded.last_id ELSE candle.last_id END,
        last_at  = greatest(candle.last_at, excluded.last_at),
        high     = greatest(candle.high, excluded.high),
        low      = least(candle.low, excluded.low),
        sum      = candle.sum + excluded.sum,
        count    = candle.count + excluded.count;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION count_candles FROM PUBLIC;

CREATE TRIGGER count_candles AFTER INSERT ON stock_prices REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION count_candles();

-- What was stored before. The trigger has locked the table: writers wait until this is committed, readers go on.
SET LOCAL work_mem = '128MB';
WITH minutes AS MATERIALIZED (
    SELECT stock_name, 1 AS minutes, date_bin('1 minute', timestamp, 'epoch') AS start, min(tick) AS first, max(price) AS high,
           min(price) AS low, max(tick) AS last, sum(price), count(*), min(timestamp) AS first_at, max(timestamp) AS last_at
    FROM (SELECT *, ARRAY[extract(epoch FROM timestamp), event_id, price] AS tick FROM stock_prices OFFSET 0) AS ticks
    GROUP BY stock_name, 3
), hours AS (
    SELECT stock_name, 60, date_bin('1 hour', start, 'epoch') AS start, min(first), max(high), min(low), max(last), sum(sum),
           sum(count)::bigint, min(first_at), max(last_at)
    FROM minutes
    GROUP BY stock_name, 3
), new AS (SELECT * FROM minutes UNION ALL SELECT * FROM hours)
INSERT INTO candles
SELECT stock_name, minutes, start, first[3], high, low, last[3], sum, count, first_at, first[2]::bigint, last_at, last[2]::bigint
FROM new;

-- Every stock that ever was, in one look into the index each.
CREATE OR REPLACE FUNCTION stock_names() RETURNS SETOF text LANGUAGE sql STABLE AS $$
    WITH RECURSIVE names AS (
        (SELECT stock_name FROM candles ORDER BY stock_name LIMIT 1)
        UNION ALL
        SELECT (SELECT stock_name FROM candles WHERE stock_name > names.stock_name ORDER BY stock_name LIMIT 1)
        FROM names WHERE stock_name IS NOT NULL
    )
    SELECT stock_name FROM names WHERE stock_name IS NOT NULL
$$;
