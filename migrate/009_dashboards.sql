-- The same answers as before, from candles where a step is a minute or longer: a year is as quick as a day.
CREATE OR REPLACE FUNCTION prices_at(stocks text[], since timestamptz, until timestamptz, step interval)
RETURNS TABLE ("time" timestamptz, stock_name text, price float8)
LANGUAGE sql STABLE AS $$
    SELECT begin, stock, newest.price
    FROM generate_series(date_bin(step, since, 'epoch'), until, step) AS begin
    CROSS JOIN unnest(stocks) AS stock
    CROSS JOIN LATERAL (
        (SELECT price::float8 FROM stock_prices
         WHERE step < '1 minute' AND stock_name = stock AND timestamp >= begin AND timestamp < begin + step
         ORDER BY timestamp DESC, event_id DESC
         LIMIT 1)
        UNION ALL
        (SELECT close::float8 FROM candles
         WHERE step >= '1 minute' AND stock_name = stock AND minutes = 1 AND start >= begin AND start < begin + step
         ORDER BY start DESC
         LIMIT 1)
    ) AS newest
$$;

CREATE OR REPLACE FUNCTION price_candles(stock text, since timestamptz, until timestamptz, step interval)
RETURNS TABLE ("time" timestamptz, open float8, high float8, low float8, close float8, volume bigint)
LANGUAGE sql STABLE AS $$
    SELECT date_bin(step, timestamp, 'epoch'),
           (array_agg(price ORDER BY timestamp, event_id))[1], max(price), min(price),
           (array_agg(price ORDER BY timestamp DESC, event_id DESC))[1], count(*)
    FROM stock_prices
    WHERE step < '1 minute' AND stock_name = stock AND timestamp BETWEEN since AND until
    GROUP BY 1
    UNION ALL
    SELECT date_bin(step, start, 'epoch'), (array_agg(open ORDER BY start))[1], max(high), min(low),
           (array_agg(close ORDER BY start DESC))[1], sum(count)::bigint
    FROM candles
    WHERE step >= '1 minute' AND stock_name = stock AND start BETWEEN date_bin('1 minute', since, 'epoch') AND until
      AND minutes = CASE WHEN step >= '1 hour' THEN 60 ELSE 1 END
    GROUP BY 1
$$;
