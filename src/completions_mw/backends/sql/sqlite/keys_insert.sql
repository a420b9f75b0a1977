-- :keys is a JSON list, so that any number of them is one statement; what is JSON in a column is text there. Times are in microseconds.
INSERT INTO keys (id, name, tenant, models, limits, budget, max_cost, metadata, disabled, expires_at, created_at)
SELECT json_extract(value, '$.id'),
       json_extract(value, '$.name'),
       json_extract(value, '$.tenant'),
       json_extract(value, '$.models'),
       json_extract(value, '$.limits'),
       json_extract(value, '$.budget'),
       json_extract(value, '$.max_cost'),
       json_extract(value, '$.metadata'),
       json_extract(value, '$.disabled'),
       json_extract(value, '$.expires_at') / 1000000.0,
       json_extract(value, '$.created_at') / 1000000.0
FROM json_each(:keys);
