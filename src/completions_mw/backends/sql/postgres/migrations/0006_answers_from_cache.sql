-- Whether a request was answered from the response cache, and what its answer would have cost.
ALTER TABLE completions_mw.entries ADD COLUMN from_cache boolean NOT NULL DEFAULT false, ADD COLUMN saved bigint NOT NULL DEFAULT 0;
