-- As before (004_dashboards), but for which counters begin at 0 in the range: those that an earlier report of their process
-- lacks. What was asked before, whether the earliest report has it, took a counter's whole value for a gain after a clock
-- had stepped back: then the earliest report isn't the first.
CREATE OR REPLACE FUNCTION counter_gains(counters text[], since timestamptz, until timestamptz)
RETURNS TABLE (at timestamptz, service text, instance text, name text, labels jsonb, gained float8, seconds float8)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH reports AS (
        SELECT at, service, instance, value AS started, min(at) OVER process AS first,
               row_number() OVER (process ORDER BY at) AS reports_so_far
        FROM pipeline_metrics
        WHERE name = 'started_at' AND at BETWEEN since AND until
        WINDOW process AS (PARTITION BY service, instance, value)
    ), counted AS (
        SELECT m.at, service, instance, m.name, m.labels, m.value, started, first, reports_so_far,
               lag(m.value) OVER (series ORDER BY m.value, m.at) AS value_before,
               lag(m.at) OVER (series ORDER BY m.value, m.at) AS at_before,
               row_number() OVER (series ORDER BY m.at) AS with_it_so_far
        FROM pipeline_metrics m JOIN reports USING (service, instance, at)
        WHERE m.name = ANY (counters) AND m.at BETWEEN since AND until
        WINDOW series AS (PARTITION BY service, instance, started, m.name, m.labels)
    ), steps AS (
        SELECT *, CASE
            WHEN at_before IS NOT NULL THEN at_before
            WHEN to_timestamp(started) >= since THEN to_timestamp(started)   -- it began in the range, at 0
            WHEN reports_so_far > with_it_so_far THEN first                  -- nothing to count was there before
        END AS since_when
        FROM counted
    )
    SELECT at, service, instance, name, labels, value - coalesce(value_before, 0),
           greatest(extract(epoch FROM at - since_when), 0)::float8
    FROM steps WHERE since_when IS NOT NULL
$$;
