-- A key or caller without a tenant has none. Up to version 3 it was a tenant of its own id, which may be the name of another tenant.
-- Which of the two a row meant is not kept: one that was charged to a tenant's budget stays with the tenant, which has paid for it. No amount moves.
UPDATE completions_mw.entries AS e
SET tenant = ''
WHERE tenant = key
  AND tenant_budget_id IS NULL
  AND NOT EXISTS (SELECT 1 FROM completions_mw.budgets AS b WHERE b.id = e.budget_id AND b.scope = 'tenant');

-- A key stays in the tenant of its own id where others use that name as a tenant's, so that it escapes no limit and no budget.
UPDATE completions_mw.keys AS k
SET tenant = ''
WHERE tenant = id
  AND NOT EXISTS (SELECT 1 FROM completions_mw.keys AS others WHERE others.tenant = k.id AND others.id <> k.id)
  AND NOT EXISTS (SELECT 1 FROM completions_mw.budgets AS b WHERE b.scope = 'tenant' AND b.name = k.id);
