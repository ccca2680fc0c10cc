-- What the services say of themselves every five seconds, as Vector brings it: one row per number, a partition per day.
CREATE TABLE pipeline_metrics (
    at       timestamptz      NOT NULL,
    service  text             NOT NULL,
    instance text             NOT NULL,
    name     text             NOT NULL,
    value    double precision NOT NULL,
    labels   jsonb            NOT NULL
) PARTITION BY RANGE (at);

-- One index for both jobs: it serves "this number of this service, this range", and it refuses what is there already.
CREATE UNIQUE INDEX idx_pipeline_metrics ON pipeline_metrics (service, name, at, instance, labels);

-- How many days are kept; CREATE OR REPLACE it to keep more.
CREATE FUNCTION metrics_retention() RETURNS int LANGUAGE sql STABLE RETURN 7;

-- Days that are over for longer are dropped whole. That waits for whoever reads, and everybody else waits for that: not
-- for longer than this (below deadlock_timeout), and rather with the next day's partition.
CREATE FUNCTION drop_old_metrics() RETURNS int LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    oldest  text := 'pipeline_metrics_' || to_char(now() AT TIME ZONE 'UTC' - metrics_retention() * interval '1 day',
                                                   'YYYYMMDD');
    old     regclass;
    dropped int := 0;
BEGIN
    FOR old IN
        SELECT inhrelid FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'pipeline_metrics'::regclass AND relname < oldest
    LOOP
        EXECUTE format('DROP TABLE %s', old);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
EXCEPTION WHEN lock_not_available THEN
    RETURN 0;
END $$;

-- A day's partition, made when its first row comes: nobody has to remember it. ATTACH disturbs no reader.
CREATE FUNCTION make_metrics_partition(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    partition text := 'pipeline_metrics_' || to_char(day, 'YYYYMMDD');
    first     timestamptz := day::timestamp AT TIME ZONE 'UTC';
    next      timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    PERFORM pg_advisory_xact_lock('pipeline_metrics'::regclass::oid::bigint);   -- or two would make it at once
    -- Asked by SQL: to_regclass() may still remember that it wasn't there.
    IF NOT EXISTS (SELECT FROM pg_class WHERE relname = partition) THEN
        EXECUTE format('CREATE TABLE %I (LIKE pipeline_metrics, CHECK (at >= %L AND at < %L))', partition, first, next);
        EXECUTE format('ALTER TABLE pipeline_metrics ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       partition, first, next);
        PERFORM drop_old_metrics();
    END IF;
END $$;

-- Vector's sink gives a whole batch up on any SQL error, so nothing that a row holds may be one: every column takes any
-- JSON, and what isn't a metric is left out here, whatever Vector's own program lets through.
CREATE VIEW metrics_in AS
SELECT at::text AS at, service, instance, name, value::text AS value, labels FROM pipeline_metrics;

CREATE FUNCTION is_metric(candidate metrics_in) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    day   date;
    today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    IF num_nulls(candidate.service, candidate.instance, candidate.name) > 0
       OR pg_input_is_valid(candidate.at, 'timestamptz') IS NOT TRUE
       OR pg_input_is_valid(candidate.value, 'double precision') IS NOT TRUE
       OR jsonb_typeof(candidate.labels) <> 'object'
       OR octet_length(candidate.service || candidate.instance || candidate.name)
          + coalesce(pg_column_size(candidate.labels), 0) > 2000   -- an entry of the index holds 2,700 bytes
    THEN
        RETURN false;
    END IF;
    day := (candidate.at::timestamptz AT TIME ZONE 'UTC')::date;
    RETURN candidate.value::double precision NOT IN ('NaN', 'Infinity', '-Infinity')
        AND day BETWEEN today - metrics_retention() AND today + 1;   -- a clock further off tells nothing
END $$;

CREATE FUNCTION store_metric() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    day date;
BEGIN
    IF NOT is_metric(NEW) THEN
        RAISE WARNING 'metrics_in: not a metric: %', left(NEW::text, 200);
        RETURN NULL;
    END IF;
    day := (NEW.at::timestamptz AT TIME ZONE 'UTC')::date;
    IF to_regclass('pipeline_metrics_' || to_char(day, 'YYYYMMDD')) IS NULL THEN
        PERFORM make_metrics_partition(day);
    END IF;
    INSERT INTO pipeline_metrics (at, service, instance, name, value, labels)
    VALUES (NEW.at::timestamptz, NEW.service, NEW.instance, NEW.name, NEW.value::double precision,
            coalesce(NEW.labels, '{}'))
    ON CONFLICT DO NOTHING;   -- Vector may send a batch again whose answer it missed
    RETURN NEW;
END $$;

CREATE TRIGGER store_metric INSTEAD OF INSERT ON metrics_in FOR EACH ROW EXECUTE FUNCTION store_metric();

REVOKE ALL ON FUNCTION metrics_retention, drop_old_metrics, make_metrics_partition, is_metric, store_metric
    FROM PUBLIC;
GRANT INSERT ON metrics_in TO vector;
GRANT SELECT ON pipeline_metrics TO grafana;
