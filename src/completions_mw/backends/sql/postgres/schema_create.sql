CREATE SCHEMA IF NOT EXISTS completions_mw;
CREATE TABLE IF NOT EXISTS completions_mw.migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
