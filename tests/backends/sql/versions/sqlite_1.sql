CREATE TABLE keys (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    tenant     TEXT NOT NULL,
    models     TEXT,                            -- JSON list of names; NULL: all
    limits     TEXT NOT NULL,                   -- JSON object
    budget     TEXT,                            -- JSON object
    max_cost   TEXT,                            -- USD as a decimal number
    metadata   TEXT NOT NULL,                   -- JSON object
    disabled   INTEGER NOT NULL,                -- 0 or 1
    expires_at REAL,                            -- seconds since the epoch
    created_at REAL NOT NULL
) STRICT;

CREATE INDEX keys_by_tenant ON keys (tenant);

CREATE TABLE secrets (
    digest     BLOB NOT NULL PRIMARY KEY,       -- SHA-256 of the whole key; the key itself is nowhere
    public_id  TEXT NOT NULL UNIQUE,
    key_id     TEXT NOT NULL REFERENCES keys (id) ON DELETE CASCADE,
    expires_at REAL,
    created_at REAL NOT NULL
) STRICT;

CREATE INDEX secrets_by_key ON secrets (key_id);

-- All amounts are nano-dollars.
CREATE TABLE budgets (
    id       INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again after pruning
    scope    TEXT NOT NULL,
    name     TEXT NOT NULL,
    period   TEXT NOT NULL,
    "limit"  INTEGER NOT NULL,
    spent    INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0),
    reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    told     INTEGER NOT NULL DEFAULT 0,        -- the highest threshold, in per cent, that was told under this limit
    refused  INTEGER NOT NULL DEFAULT 0,        -- whether a refusal was told under this limit
    UNIQUE (scope, name, period)
) STRICT;

-- One row for each request: reserved -> settled, or -> reaped -> settled.
CREATE TABLE entries (
    request_id        TEXT NOT NULL PRIMARY KEY,
    scope             TEXT NOT NULL,
    key               TEXT NOT NULL,
    tenant            TEXT NOT NULL,
    model             TEXT NOT NULL,
    stream            INTEGER NOT NULL,
    started_ms        INTEGER NOT NULL,
    state             TEXT NOT NULL,
    budget            INTEGER,                  -- budgets.id, where the request is charged to budgets
    other_budget      INTEGER,
    reserved          INTEGER NOT NULL DEFAULT 0,
    amount            INTEGER NOT NULL DEFAULT 0, -- while reserved the checkpoint, then the cost
    adjustment        INTEGER NOT NULL DEFAULT 0, -- what a late settlement added to the cost
    expires_ms        INTEGER,                  -- of the reservation
    prompt_tokens     INTEGER NOT NULL DEFAULT 0,
    completion_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens     INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens  INTEGER NOT NULL DEFAULT 0,
    estimated         INTEGER NOT NULL DEFAULT 1,
    target            TEXT,
    status            INTEGER,
    code              TEXT,
    finish_reason     TEXT,
    first_ms          INTEGER,
    total_ms          INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX entries_by_start ON entries (started_ms);
CREATE INDEX entries_by_expiry ON entries (expires_ms) WHERE state = 'reserved';
