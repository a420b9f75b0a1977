-- The state of the database.

-- name: check
SELECT 1;
