-- A key or caller without a tenant has none. Up to version 2 it was a tenant of its own id, which may be the name of another tenant.
-- Which of the two a row meant is not kept: one that was charged to a tenant's budget stays with the tenant, which has paid for it. No amount moves.
UPDATE entries
SET tenant = ''
WHERE tenant = key
  AND tenant_budget_id IS NULL
  AND NOT EXISTS (SELECT 1 FROM budgets WHERE budgets.id = entries.budget_id AND budgets.scope = 'tenant');

-- A key stays in the tenant of its own id where others use that name as a tenant's, so that it escapes no limit and no budget.
UPDATE keys
SET tenant = ''
WHERE tenant = id
  AND NOT EXISTS (SELECT 1 FROM keys AS others WHERE others.tenant = keys.id AND others.id <> keys.id)
  AND NOT EXISTS (SELECT 1 FROM budgets WHERE budgets.scope = 'tenant' AND budgets.name = keys.id);
