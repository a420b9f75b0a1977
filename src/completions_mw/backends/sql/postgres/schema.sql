-- The state of the database. Its tables are made in migrations/, its functions in functions.sql.

-- name: check
SELECT 1;

-- name: schema_lock
-- `completi` in ASCII: any number that all versions of the library agree on.
SELECT pg_advisory_xact_lock(7165061235044252777);

-- name: schema_create
CREATE SCHEMA IF NOT EXISTS completions_mw;
CREATE TABLE IF NOT EXISTS completions_mw.migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

-- name: schema_version
SELECT coalesce(max(version), 0) FROM completions_mw.migrations;

-- name: schema_applied
INSERT INTO completions_mw.migrations (version) VALUES (%(version)s);
