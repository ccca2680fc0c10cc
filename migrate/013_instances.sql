-- Per second, of each process, over the time that its reports cover. What the processes of a service count apart from each
-- other may be added, as counter_rates() does it; what each of them sees, as bridges receive the same messages, may not.
CREATE FUNCTION instance_rates(counters text[], since timestamptz, until timestamptz, step interval)
RETURNS TABLE ("time" timestamptz, service text, instance text, name text, labels jsonb, value float8)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT date_bin(step, at, 'epoch'), service, instance, name, labels, sum(gained) / nullif(sum(seconds), 0)
    FROM counter_gains(counters, since, until)
    GROUP BY 1, 2, 3, 4, 5
$$;

CREATE OR REPLACE FUNCTION counter_rates(counters text[], since timestamptz, until timestamptz, step interval)
RETURNS TABLE ("time" timestamptz, service text, name text, labels jsonb, value float8)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT "time", service, name, labels, sum(value)
    FROM instance_rates(counters, since, until, step)
    GROUP BY 1, 2, 3, 4
$$;
