-- Reservations, settlements and budgets: the steps that sqlite/transactions.py puts together. All amounts are nano-dollars.
--
-- What is read or written by a batch is one statement for all of its rows: `VALUES` with the parameters of one row stands for as many as
-- there are. What is read comes as one value, a JSON list of rows, by cross joins, which SQLite does in the order in which they are written:
-- given the keys of several budgets for IN, it would read the whole table.

-- name: ledger_entries
WITH wanted (request_id) AS (VALUES (?))
SELECT json_group_array(json_array(request_id, state, reserved, amount, budget_id, tenant_budget_id, expires_ms))
FROM wanted CROSS JOIN entries USING (request_id);

-- name: ledger_reserve
INSERT INTO entries (request_id, scope, key, tenant, model, stream, started_ms, reserved, expires_ms, budget_id, tenant_budget_id, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'reserved');

-- name: ledger_checkpoint
WITH new (id, amount, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens) AS (VALUES (?, ?, ?, ?, ?, ?))
UPDATE entries
SET amount = new.amount,
    prompt_tokens = new.prompt_tokens,
    completion_tokens = new.completion_tokens,
    cached_tokens = new.cached_tokens,
    reasoning_tokens = new.reasoning_tokens
FROM new
WHERE request_id = new.id;

-- name: ledger_settle
INSERT INTO entries (
    request_id, scope, key, tenant, model, stream, started_ms, amount, adjustment,
    prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, estimated,
    target, status, code, finish_reason, first_ms, total_ms, from_cache, saved, state
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'settled')
ON CONFLICT (request_id) DO UPDATE
SET state = excluded.state,
    amount = excluded.amount,
    adjustment = excluded.adjustment,
    prompt_tokens = excluded.prompt_tokens,
    completion_tokens = excluded.completion_tokens,
    cached_tokens = excluded.cached_tokens,
    reasoning_tokens = excluded.reasoning_tokens,
    estimated = excluded.estimated,
    target = excluded.target,
    status = excluded.status,
    code = excluded.code,
    finish_reason = excluded.finish_reason,
    first_ms = excluded.first_ms,
    total_ms = excluded.total_ms,
    from_cache = excluded.from_cache,
    saved = excluded.saved;

-- name: ledger_renew
WITH new (id, expires_ms) AS (VALUES (?, ?))
UPDATE entries
SET state = 'reserved', expires_ms = new.expires_ms
FROM new
WHERE request_id = new.id;

-- name: ledger_expired
SELECT request_id FROM entries WHERE state = 'reserved' AND expires_ms <= :now;

-- name: ledger_reap
UPDATE entries SET state = 'reaped' WHERE request_id IN (VALUES (?));

-- name: ledger_budgets_by_key
WITH wanted (scope, name, period) AS (VALUES (?, ?, ?))
SELECT json_group_array(json_array(id, scope, name, period, "limit", spent, reserved, told, refused))
FROM wanted CROSS JOIN budgets USING (scope, name, period);

-- name: ledger_budgets_by_id
WITH wanted (id) AS (VALUES (?))
SELECT json_group_array(json_array(id, scope, name, period, "limit", spent, reserved, told, refused))
FROM wanted CROSS JOIN budgets USING (id);

-- name: ledger_budgets_change
WITH new (id, "limit", spent, reserved, told, refused) AS (VALUES (?, ?, ?, ?, ?, ?))
UPDATE budgets
SET "limit" = new."limit", spent = new.spent, reserved = new.reserved, told = new.told, refused = new.refused
FROM new
WHERE budgets.id = new.id;

-- name: ledger_open
INSERT INTO budgets (scope, name, period, "limit") VALUES (:scope, :name, :period, :limit);

-- name: ledger_balances
SELECT scope, name, period, "limit", spent, reserved
FROM budgets
WHERE scope = :scope AND name = :name
ORDER BY period DESC;

-- name: ledger_usage
-- A sum of nano-dollars may be more than an integer holds, so dollars and the rest are summed apart.
SELECT CASE :by
           WHEN 'key' THEN key
           WHEN 'tenant' THEN tenant
           WHEN 'model' THEN model
           ELSE date(started_ms / 1000, 'unixepoch')
       END AS grouped,
       CASE :by WHEN 'key' THEN scope ELSE '' END AS kind,
       count(*),
       sum(prompt_tokens),
       sum(completion_tokens),
       sum(cached_tokens),
       sum(reasoning_tokens),
       sum(amount / 1000000000),
       sum(amount % 1000000000),
       sum(estimated),
       sum(from_cache),
       sum(saved / 1000000000),
       sum(saved % 1000000000)
FROM entries
WHERE state <> 'reserved'
  AND (:since_ms IS NULL OR started_ms >= :since_ms)
  AND (:until_ms IS NULL OR started_ms < :until_ms)
  AND (:key IS NULL OR scope = 'key' AND key = :key)
  AND (:caller IS NULL OR scope = 'caller' AND key = :caller)
  AND (:tenant IS NULL OR tenant = :tenant)
  AND (:model IS NULL OR model = :model)
GROUP BY grouped, kind
ORDER BY grouped, kind;

-- name: ledger_prune
DELETE FROM entries
WHERE request_id IN (SELECT request_id FROM entries WHERE started_ms < :before_ms AND state <> 'reserved' LIMIT :batch);

-- name: ledger_prune_budgets
-- The shape of a period's name tells its kind; `total` never ends.
DELETE FROM budgets
WHERE id IN (
    SELECT id
    FROM budgets
    WHERE reserved = 0
      AND (
          period LIKE '____-__-__T__' AND period < :hour
          OR period LIKE '____-__-__' AND period < :day
          OR period LIKE '____-W__' AND period < :week
          OR period LIKE '____-__' AND period < :month
      )
    LIMIT :batch
);

-- name: ledger_trim
DELETE FROM entries
WHERE state <> 'reserved'
  AND (
      started_ms < :before_ms
      OR request_id IN (SELECT request_id FROM entries ORDER BY started_ms DESC LIMIT -1 OFFSET :kept)
  );
