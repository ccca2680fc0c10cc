-- A tick as the api answers it: a JSON object, or a line of CSV. Made here since bytes that go through Python as numbers and
-- times take four times as long. Every digit and all six digits of the second are kept.
CREATE FUNCTION price_line(form text, at timestamptz, exchange text, price numeric, id bigint) RETURNS text LANGUAGE sql STABLE
RETURN CASE form
    WHEN 'csv' THEN
        to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || ','
        || CASE WHEN exchange ~ '[",\n\r]' THEN '"' || replace(exchange, '"', '""') || '"' ELSE exchange END || ','
        || price::text || ',' || (id >> 20)::text || '-' || (id & 1048575)::text
    ELSE
        '{"timestamp":"' || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        || '","exchange_name":' || to_json(exchange)::text || ',"price":' || price::text
        || ',"id":"' || (id >> 20)::text || '-' || (id & 1048575)::text || '"}'
END;
