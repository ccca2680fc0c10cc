-- One candle per stock and minute, exact, kept in the transaction that stores the ticks: open and close go by
-- (timestamp, event_id), not by arrival, so late ticks and parallel writers change nothing. Candles outlive their ticks.
CREATE TABLE candles (
    stock_name varchar(255) NOT NULL,
    minute     timestamptz  NOT NULL,
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
    PRIMARY KEY (stock_name, minute)
);
GRANT SELECT ON candles TO api, grafana;

-- With the owner's rights: the writer may insert ticks, not change candles.
CREATE FUNCTION count_candles() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- In the order of the key, or two writers could wait for each other.
    INSERT INTO candles AS candle
    SELECT stock_name, date_trunc('minute', timestamp, 'UTC') AS minute,
           (array_agg(price ORDER BY timestamp, event_id))[1], max(price), min(price),
           (array_agg(price ORDER BY timestamp, event_id))[count(*)], sum(price), count(*),
           (array_agg(timestamp ORDER BY timestamp, event_id))[1], (array_agg(event_id ORDER BY timestamp, event_id))[1],
           (array_agg(timestamp ORDER BY timestamp, event_id))[count(*)], (array_agg(event_id ORDER BY timestamp, event_id))[count(*)]
    FROM inserted
    GROUP BY stock_name, minute
    ORDER BY stock_name, minute
    ON CONFLICT (stock_name, minute) DO UPDATE SET
        open     = CASE WHEN (excluded.first_at, excluded.first_id) < (candle.first_at, candle.first_id) THEN excluded.open ELSE candle.open END,
        high     = greatest(candle.high, excluded.high),
        low      = least(candle.low, excluded.low),
        close    = CASE WHEN (excluded.last_at, excluded.last_id) > (candle.last_at, candle.last_id) THEN excluded.close ELSE candle.close END,
        sum      = candle.sum + excluded.sum,
        count    = candle.count + excluded.count,
        first_at = least(candle.first_at, excluded.first_at),
        first_id = CASE WHEN (excluded.first_at, excluded.first_id) < (candle.first_at, candle.first_id) THEN excluded.first_id ELSE candle.first_id END,
        last_at  = greatest(candle.last_at, excluded.last_at),
        last_id  = CASE WHEN (excluded.last_at, excluded.last_id) > (candle.last_at, candle.last_id) THEN excluded.last_id ELSE candle.last_id END;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION count_candles FROM PUBLIC;

CREATE TRIGGER count_candles AFTER INSERT ON stock_prices REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION count_candles();

-- What was stored before. The trigger's lock keeps writers waiting until this is committed; readers go on.
INSERT INTO candles
SELECT stock_name, date_trunc('minute', timestamp, 'UTC') AS minute,
       (array_agg(price ORDER BY timestamp, event_id))[1], max(price), min(price),
       (array_agg(price ORDER BY timestamp, event_id))[count(*)], sum(price), count(*),
       (array_agg(timestamp ORDER BY timestamp, event_id))[1], (array_agg(event_id ORDER BY timestamp, event_id))[1],
       (array_agg(timestamp ORDER BY timestamp, event_id))[count(*)], (array_agg(event_id ORDER BY timestamp, event_id))[count(*)]
FROM stock_prices
GROUP BY stock_name, minute;

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
