-- Reservations, settlements and budgets: what takes several steps is a function, in functions.sql. All amounts are nano-dollars.

-- name: ledger_take
SELECT * FROM completions_mw.take(%(steps)s::jsonb, %(patient)s);

-- name: ledger_renew
-- What it returns is as it was before.
WITH renewed AS (
    UPDATE completions_mw.entries
    SET expires_at = clock_timestamp() + %(ttl_ms)s * interval '1 millisecond'
    WHERE request_id = ANY(%(request_ids)s::text[]) AND state = 'reserved'
)
SELECT request_id, state FROM completions_mw.entries WHERE request_id = ANY(%(request_ids)s::text[]);

-- name: ledger_restore
SELECT completions_mw.restore(%(request_id)s, %(ttl_ms)s);

-- name: ledger_time
SELECT extract(epoch FROM clock_timestamp())::double precision;

-- name: ledger_reap
SELECT completions_mw.reap(%(batch)s, to_timestamp(%(time)s));

-- name: ledger_balances
SELECT scope, name, period, "limit", spent, reserved
FROM completions_mw.budgets
WHERE scope = %(scope)s AND name = %(name)s
ORDER BY period DESC;

-- name: ledger_usage
-- A sum of bigints is a numeric here, so nothing is lost where dollars and the rest are summed apart, as in SQLite.
SELECT CASE %(by)s
           WHEN 'key' THEN key
           WHEN 'tenant' THEN tenant
           WHEN 'model' THEN model
           ELSE to_char(to_timestamp(started_ms / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')
       END COLLATE "C" AS grouped,
       CASE %(by)s WHEN 'key' THEN scope ELSE '' END COLLATE "C" AS kind,
       count(*),
       sum(prompt_tokens)::bigint,
       sum(completion_tokens)::bigint,
       sum(cached_tokens)::bigint,
       sum(reasoning_tokens)::bigint,
       sum(amount / 1000000000)::bigint,
       sum(amount %% 1000000000)::bigint,
       count(*) FILTER (WHERE estimated),
       count(*) FILTER (WHERE from_cache),
       sum(saved / 1000000000)::bigint,
       sum(saved %% 1000000000)::bigint
FROM completions_mw.entries
WHERE state <> 'reserved'
  AND (%(since_ms)s::bigint IS NULL OR started_ms >= %(since_ms)s::bigint)
  AND (%(until_ms)s::bigint IS NULL OR started_ms < %(until_ms)s::bigint)
  AND (%(key)s::text IS NULL OR scope = 'key' AND key = %(key)s::text)
  AND (%(caller)s::text IS NULL OR scope = 'caller' AND key = %(caller)s::text)
  AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s::text)
  AND (%(model)s::text IS NULL OR model = %(model)s::text)
GROUP BY grouped, kind
ORDER BY grouped, kind;

-- name: ledger_prune
DELETE FROM completions_mw.entries
WHERE request_id IN (
    SELECT request_id
    FROM completions_mw.entries
    WHERE started_ms < %(before_ms)s AND state <> 'reserved'
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
)
RETURNING 1;

-- name: ledger_prune_budgets
-- The shape of a period's name tells its kind; `total` never ends.
DELETE FROM completions_mw.budgets
WHERE id IN (
    SELECT id
    FROM completions_mw.budgets
    WHERE reserved = 0
      AND (
          period LIKE '____-__-__T__' AND period < %(hour)s
          OR period LIKE '____-__-__' AND period < %(day)s
          OR period LIKE '____-W__' AND period < %(week)s
          OR period LIKE '____-__' AND period < %(month)s
      )
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
)
RETURNING 1;
