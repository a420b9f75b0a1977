-- The parameter is a JSON list, so that any number of them is one statement; what is JSON in a column is text there. Times are in microseconds.
INSERT INTO completions_mw.keys (id, name, tenant, models, limits, budget, max_cost, metadata, disabled, expires_at, created_at)
SELECT id, name, tenant, models::json, limits::json, budget::json, max_cost, metadata::json, disabled,
       expires_at / 1000000,
       created_at / 1000000
FROM json_to_recordset(%(keys)s::json) AS new (
    id text, name text, tenant text, models text, limits text, budget text, max_cost text, metadata text, disabled boolean,
    expires_at double precision, created_at double precision
);
