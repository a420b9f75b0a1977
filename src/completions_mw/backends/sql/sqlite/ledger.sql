-- Reservations, settlements and budgets: the steps that sqlite/transactions.py puts together. All amounts are nano-dollars.

-- name: ledger_reserve
INSERT INTO entries (request_id, scope, key, tenant, model, stream, started_ms, state, budget_id, tenant_budget_id, reserved, expires_ms)
VALUES (:request_id, :scope, :key, :tenant, :model, :stream, :started_ms, 'reserved', :budget_id, :tenant_budget_id, :amount, :expires_ms);

-- name: ledger_checkpoint
-- One that comes late must not undo a later one.
UPDATE entries
SET amount = :amount,
    prompt_tokens = :prompt,
    completion_tokens = :completion,
    cached_tokens = :cached,
    reasoning_tokens = :reasoning
WHERE request_id = :request_id AND state = 'reserved' AND amount <= :amount;

-- name: ledger_settle
UPDATE entries
SET state = 'settled',
    amount = :cost,
    adjustment = :adjustment,
    prompt_tokens = :prompt,
    completion_tokens = :completion,
    cached_tokens = :cached,
    reasoning_tokens = :reasoning,
    estimated = :estimated,
    target = :target,
    status = :status,
    code = :code,
    finish_reason = :finish_reason,
    first_ms = :first_ms,
    total_ms = :total_ms
WHERE request_id = :request_id;

-- name: ledger_insert
INSERT INTO entries (
    request_id, scope, key, tenant, model, stream, started_ms, state, amount,
    prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, estimated,
    target, status, code, finish_reason, first_ms, total_ms
)
VALUES (
    :request_id, :scope, :key, :tenant, :model, :stream, :started_ms, 'settled', :cost,
    :prompt, :completion, :cached, :reasoning, :estimated,
    :target, :status, :code, :finish_reason, :first_ms, :total_ms
);

-- name: ledger_find
SELECT state, reserved, amount, budget_id, tenant_budget_id FROM entries WHERE request_id = :request_id;

-- name: ledger_renew
UPDATE entries SET expires_ms = :expires_ms WHERE request_id = :request_id AND state = 'reserved';

-- name: ledger_restore
UPDATE entries SET state = 'reserved', expires_ms = :expires_ms WHERE request_id = :request_id;

-- name: ledger_expired
SELECT request_id, reserved, amount, budget_id, tenant_budget_id FROM entries WHERE state = 'reserved' AND expires_ms <= :now;

-- name: ledger_reap
UPDATE entries SET state = 'reaped' WHERE request_id = :request_id;

-- name: ledger_budget
SELECT id, scope, name, period, "limit", spent, reserved, told, refused
FROM budgets
WHERE scope = :scope AND name = :name AND period = :period;

-- name: ledger_budget_by_id
SELECT id, scope, name, period, "limit", spent, reserved, told, refused FROM budgets WHERE id = :id;

-- name: ledger_open
INSERT INTO budgets (scope, name, period, "limit") VALUES (:scope, :name, :period, :limit);

-- name: ledger_limit
UPDATE budgets SET "limit" = :limit, told = :told, refused = 0 WHERE id = :id;

-- name: ledger_hold
UPDATE budgets SET reserved = reserved + :amount WHERE id = :id;

-- name: ledger_charge
UPDATE budgets SET spent = :spent, reserved = :reserved WHERE id = :id;

-- name: ledger_tell
UPDATE budgets SET told = :told WHERE id = :id;

-- name: ledger_refuse
UPDATE budgets SET refused = 1 WHERE id = :id AND NOT refused;

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
       sum(estimated)
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
