-- With several streams each number of a shard has its number as a label. What is waiting is added up over the shards, of
-- each the most that a process of the service tells; a time, a share or a size of Redis is that of the worst.
CREATE OR REPLACE FUNCTION gauges(names text[], since timestamptz, until timestamptz, step interval)
RETURNS TABLE ("time" timestamptz, service text, name text, stat text, value float8)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT "time", service, name, stat, CASE
        WHEN name IN ('lag_entries', 'waiting', 'stream_length', 'stream_max_entries') THEN sum(value)
        ELSE max(value)
    END
    FROM (
        SELECT date_bin(step, at, 'epoch'), service, name, labels ->> 'stat', labels ->> 'shard', max(value)
        FROM pipeline_metrics
        WHERE name = ANY (names) AND at BETWEEN since AND until
        GROUP BY 1, 2, 3, 4, 5
    ) AS shards ("time", service, name, stat, shard, value)
    GROUP BY 1, 2, 3, 4
$$;

-- What each process of a service sees alike, as bridges receive the same messages: of each shard the most, and that added up.
CREATE FUNCTION seen_rates(counters text[], since timestamptz, until timestamptz, step interval)
RETURNS TABLE ("time" timestamptz, service text, name text, value float8)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT "time", service, name, sum(value)
    FROM (
        SELECT "time", service, name, labels ->> 'shard', max(value)
        FROM instance_rates(counters, since, until, step)
        GROUP BY 1, 2, 3, 4
    ) AS shards ("time", service, name, shard, value)
    GROUP BY 1, 2, 3
$$;
