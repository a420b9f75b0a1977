-- The budgets of a request are named by whose they are. Rows of version 1 have a tenant's budget as `budget_id` where it is the only one.
ALTER TABLE entries RENAME COLUMN budget TO budget_id;
ALTER TABLE entries RENAME COLUMN other_budget TO tenant_budget_id;
