-- The table of ticks. The first four columns are the given schema; event_id makes a second delivery harmless.
CREATE TABLE stock_prices (
    timestamp     timestamptz  NOT NULL,
    stock_name    varchar(255) NOT NULL,
    exchange_name varchar(255) NOT NULL,
    price         numeric      NOT NULL,
    event_id      bigint       NOT NULL   -- the stream entry's id, packed: milliseconds << 20 | sequence
);

-- One index for both jobs: it serves "this stock, this range, newest or oldest first", and it refuses a tick that is
-- there already. event_id rises with timestamp, so both directions of a scan come out in the order of the stream.
CREATE UNIQUE INDEX idx_stock_prices_ts_name ON stock_prices (stock_name, timestamp DESC, event_id DESC);
