-- Whether a request was answered from the response cache, and what its answer would have cost.
ALTER TABLE entries ADD COLUMN from_cache INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN saved INTEGER NOT NULL DEFAULT 0;
