-- What Grafana's panels ask for more than once. Everything runs with the caller's own rights.

-- What counters gained between two reports. A process counts from 0, and each start is a process of its own
-- (started_at), so a restart loses nothing. In the order of the values, as a clock may step back and they don't.
CREATE FUNCTION counter_gains(counters text[], since timestamptz, until timestamptz)
RETURNS TABLE (at timestamptz, service text, instance text, name text, labels jsonb, gained float8, seconds float8)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH reports AS (
        SELECT at, service, instance, value AS started, min(at) OVER (PARTITION BY service, instance, value) AS first
        FROM pipeline_metrics
        WHERE name = 'started_at' AND at BETWEEN since AND until
    ), counted AS (
        SELECT m.at, service, instance, m.name, m.labels, m.value, started, first,
               lag(m.value) OVER series AS value_before, lag(m.at) OVER series AS at_before
        FROM pipeline_metrics m JOIN reports USING (service, instance, at)
        WHERE m.name = ANY (counters) AND m.at BETWEEN since AND until
        WINDOW series AS (PARTITION BY service, instance, started, m.name, m.labels ORDER BY m.value, m.at)
    ), steps AS (
        SELECT *, CASE
            WHEN at_before IS NOT NULL THEN at_before
            WHEN to_timestamp(started) >= since THEN to_timestamp(started)   -- it began in the range, at 0
            WHEN at > first THEN first                                      -- nothing to count was there before
        END AS since_when
        FROM counted
    )
    SELECT at, service, instance, name, labels, value - coalesce(value_before, 0),
           greatest(extract(epoch FROM at - since_when), 0)::float8
    FROM steps WHERE since_when IS NOT NULL
$$;

-- Per second: of each process over the time that its reports cover, then the sum of a service's processes.
CREATE FUNCTION counter_rates(counters text[], since timestamptz, until timestamptz, step interval)
RETURNS TABLE ("time" timestamptz, service text, name text, labels jsonb, value float8)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT "time", service, name, labels, sum(rate) FROM (
        SELECT date_bin(step, at, 'epoch') AS "time", service, instance, name, labels,
               sum(gained) / nullif(sum(seconds), 0) AS rate
        FROM counter_gains(counters, since, until)
        GROUP BY 1, 2, 3, 4, 5
    ) AS instances
    GROUP BY 1, 2, 3, 4
$$;

-- The worst of what a service's processes said of a gauge, or of a latency (a label `stat`), in each step.
CREATE FUNCTION gauges(names text[], since timestamptz, until timestamptz, step interval)
RETURNS TABLE ("time" timestamptz, service text, name text, stat text, value float8)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT date_bin(step, at, 'epoch'), service, name, labels ->> 'stat', max(value)
    FROM pipeline_metrics
    WHERE name = ANY (names) AND at BETWEEN since AND until
    GROUP BY 1, 2, 3, 4
$$;

-- Every stock, in one look into the index each.
CREATE FUNCTION stock_names() RETURNS SETOF text LANGUAGE sql STABLE AS $$
    WITH RECURSIVE names AS (
        (SELECT stock_name FROM stock_prices ORDER BY stock_name LIMIT 1)
        UNION ALL
        SELECT (SELECT stock_name FROM stock_prices WHERE stock_name > names.stock_name ORDER BY stock_name LIMIT 1)
        FROM names WHERE stock_name IS NOT NULL
    )
    SELECT stock_name FROM names WHERE stock_name IS NOT NULL
$$;

-- The newest price in each step, in one look into the index each: its cost doesn't grow with the ticks.
CREATE FUNCTION prices_at(stocks text[], since timestamptz, until timestamptz, step interval)
RETURNS TABLE ("time" timestamptz, stock_name text, price float8)
LANGUAGE sql STABLE AS $$
    SELECT begin, stock, newest.price
    FROM generate_series(date_bin(step, since, 'epoch'), until, step) AS begin
    CROSS JOIN unnest(stocks) AS stock
    CROSS JOIN LATERAL (
        SELECT price::float8 FROM stock_prices
        WHERE stock_name = stock AND timestamp >= begin AND timestamp < begin + step
        ORDER BY timestamp DESC, event_id DESC
        LIMIT 1
    ) AS newest
$$;

-- Open, high, low, close and the number of ticks.
CREATE FUNCTION price_candles(stock text, since timestamptz, until timestamptz, step interval)
RETURNS TABLE ("time" timestamptz, open float8, high float8, low float8, close float8, volume bigint)
LANGUAGE sql STABLE AS $$
    SELECT date_bin(step, timestamp, 'epoch'),
           (array_agg(price ORDER BY timestamp, event_id))[1], max(price), min(price),
           (array_agg(price ORDER BY timestamp DESC, event_id DESC))[1], count(*)
    FROM stock_prices
    WHERE stock_name = stock AND timestamp BETWEEN since AND until
    GROUP BY 1
$$;
