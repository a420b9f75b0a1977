-- The budgets of a request are named by whose they are. Rows of version 2 have a tenant's budget as `budget_id` where it is the only one.
--
-- There is no file of version 2: it made the functions, which functions.sql now replaces at each version.
ALTER TABLE completions_mw.entries RENAME COLUMN budget TO budget_id;
ALTER TABLE completions_mw.entries RENAME COLUMN other_budget TO tenant_budget_id;
