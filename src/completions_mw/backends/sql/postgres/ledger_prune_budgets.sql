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
