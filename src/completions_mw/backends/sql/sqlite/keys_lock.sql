-- There is one writer at a time as it is; PostgreSQL locks the key here.
SELECT id FROM keys WHERE id = :id;
