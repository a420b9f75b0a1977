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
