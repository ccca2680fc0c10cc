-- Ticks by day (UTC): a day's partition is made ahead, filled, and in the end dropped whole.

-- What is there already becomes one partition, of everything until today. Nothing is copied: it is read once, to be sure.
-- A partition's name says its last day, so this one goes when its youngest ticks are too old.
ALTER TABLE stock_prices RENAME TO stock_prices_earlier;
ALTER INDEX idx_stock_prices_ts_name RENAME TO idx_stock_prices_earlier;
REVOKE ALL ON stock_prices_earlier FROM writer, api, grafana;   -- by way of stock_prices only

CREATE TABLE stock_prices (
    timestamp     timestamptz  NOT NULL,
    stock_name    varchar(255) NOT NULL,
    exchange_name varchar(255) NOT NULL,
    price         numeric      NOT NULL,
    event_id      bigint       NOT NULL
) PARTITION BY RANGE (timestamp);
CREATE UNIQUE INDEX idx_stock_prices_ts_name ON stock_prices (stock_name, timestamp DESC, event_id DESC);
GRANT INSERT, SELECT ON stock_prices TO writer;
GRANT SELECT ON stock_prices TO api, grafana;

-- Takes what has no day: the day was not made in time, or a clock is far off.
CREATE TABLE stock_prices_default PARTITION OF stock_prices DEFAULT;

DO $$
DECLARE
    today    date := (now() AT TIME ZONE 'UTC')::date;
    tomorrow timestamptz := (today + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF NOT EXISTS (SELECT FROM stock_prices_earlier) THEN
        DROP TABLE stock_prices_earlier;
        RETURN;
    END IF;
    -- Of a clock that is ahead.
    WITH later AS (DELETE FROM stock_prices_earlier WHERE timestamp >= tomorrow RETURNING *)
    INSERT INTO stock_prices SELECT * FROM later;
    EXECUTE format('ALTER TABLE stock_prices ATTACH PARTITION stock_prices_earlier FOR VALUES FROM (MINVALUE) TO (%L)',
                   tomorrow);
    EXECUTE format('ALTER TABLE stock_prices_earlier RENAME TO stock_prices_%s', to_char(today, 'YYYYMMDD'));
END $$;
