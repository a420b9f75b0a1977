-- Reservations, settlements and budgets: the steps that sqlite/transactions.py puts together. All amounts are nano-dollars.
--
-- What is read or written by a batch is one statement for all of its rows, and one row of SQLite: parameters and answers are JSON lists.

-- name: ledger_entries
SELECT json_group_array(json_array(request_id, state, reserved, amount, budget_id, tenant_budget_id, expires_ms))
FROM entries
WHERE request_id IN (SELECT value FROM json_each(:request_ids));

-- name: ledger_reserve
INSERT INTO entries (request_id, scope, key, tenant, model, stream, started_ms, state, budget_id, tenant_budget_id, reserved, expires_ms)
SELECT json_extract(value, '$[0]'),
       json_extract(value, '$[1]'),
       json_extract(value, '$[2]'),
       json_extract(value, '$[3]'),
       json_extract(value, '$[4]'),
       json_extract(value, '$[5]'),
       json_extract(value, '$[6]'),
       'reserved',
       json_extract(value, '$[9]'),
       json_extract(value, '$[10]'),
       json_extract(value, '$[7]'),
       json_extract(value, '$[8]')
FROM json_each(:rows);

-- name: ledger_checkpoint
UPDATE entries
SET amount = json_extract(new.value, '$[1]'),
    prompt_tokens = json_extract(new.value, '$[2]'),
    completion_tokens = json_extract(new.value, '$[3]'),
    cached_tokens = json_extract(new.value, '$[4]'),
    reasoning_tokens = json_extract(new.value, '$[5]')
FROM json_each(:rows) AS new
WHERE request_id = json_extract(new.value, '$[0]');

-- name: ledger_settle
UPDATE entries
SET state = 'settled',
    amount = json_extract(new.value, '$[1]'),
    adjustment = json_extract(new.value, '$[2]'),
    prompt_tokens = json_extract(new.value, '$[3]'),
    completion_tokens = json_extract(new.value, '$[4]'),
    cached_tokens = json_extract(new.value, '$[5]'),
    reasoning_tokens = json_extract(new.value, '$[6]'),
    estimated = json_extract(new.value, '$[7]'),
    target = json_extract(new.value, '$[8]'),
    status = json_extract(new.value, '$[9]'),
    code = json_extract(new.value, '$[10]'),
    finish_reason = json_extract(new.value, '$[11]'),
    first_ms = json_extract(new.value, '$[12]'),
    total_ms = json_extract(new.value, '$[13]'),
    from_cache = json_extract(new.value, '$[14]'),
    saved = json_extract(new.value, '$[15]')
FROM json_each(:rows) AS new
WHERE request_id = json_extract(new.value, '$[0]');

-- name: ledger_insert
INSERT INTO entries (
    request_id, scope, key, tenant, model, stream, started_ms, state, amount,
    prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, estimated,
    target, status, code, finish_reason, first_ms, total_ms, from_cache, saved
)
SELECT json_extract(value, '$[0]'),
       json_extract(value, '$[1]'),
       json_extract(value, '$[2]'),
       json_extract(value, '$[3]'),
       json_extract(value, '$[4]'),
       json_extract(value, '$[5]'),
       json_extract(value, '$[6]'),
       'settled',
       json_extract(value, '$[7]'),
       json_extract(value, '$[8]'),
       json_extract(value, '$[9]'),
       json_extract(value, '$[10]'),
       json_extract(value, '$[11]'),
       json_extract(value, '$[12]'),
       json_extract(value, '$[13]'),
       json_extract(value, '$[14]'),
       json_extract(value, '$[15]'),
       json_extract(value, '$[16]'),
       json_extract(value, '$[17]'),
       json_extract(value, '$[18]'),
       json_extract(value, '$[19]'),
       json_extract(value, '$[20]')
FROM json_each(:rows);

-- name: ledger_renew
UPDATE entries
SET state = 'reserved', expires_ms = json_extract(new.value, '$[1]')
FROM json_each(:rows) AS new
WHERE request_id = json_extract(new.value, '$[0]');

-- name: ledger_expired
SELECT request_id FROM entries WHERE state = 'reserved' AND expires_ms <= :now;

-- name: ledger_reap
UPDATE entries SET state = 'reaped' WHERE request_id IN (SELECT value FROM json_each(:rows));

-- name: ledger_budgets_by_key
SELECT json_group_array(json_array(id, scope, name, period, "limit", spent, reserved, told, refused))
FROM budgets
WHERE (scope, name, period) IN (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(:keys)
);

-- name: ledger_budgets_by_id
SELECT json_group_array(json_array(id, scope, name, period, "limit", spent, reserved, told, refused))
FROM budgets
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: ledger_budgets_change
UPDATE budgets
SET "limit" = json_extract(new.value, '$[1]'),
    spent = json_extract(new.value, '$[2]'),
    reserved = json_extract(new.value, '$[3]'),
    told = json_extract(new.value, '$[4]'),
    refused = json_extract(new.value, '$[5]')
FROM json_each(:rows) AS new
WHERE budgets.id = json_extract(new.value, '$[0]');

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
