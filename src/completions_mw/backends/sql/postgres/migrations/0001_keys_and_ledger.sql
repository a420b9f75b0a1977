-- Text is compared by code points, so that every database sorts, and locks, in the same order.
CREATE TABLE completions_mw.keys (
    id         text COLLATE "C" PRIMARY KEY,
    name       text NOT NULL,
    tenant     text COLLATE "C" NOT NULL,
    models     json,                            -- list of names; NULL: all
    limits     json NOT NULL,
    budget     json,
    max_cost   text,                            -- USD as a decimal number
    metadata   json NOT NULL,
    disabled   boolean NOT NULL,
    expires_at double precision,                -- seconds since the epoch
    created_at double precision NOT NULL
);

CREATE INDEX keys_by_tenant ON completions_mw.keys (tenant);

CREATE TABLE completions_mw.secrets (
    digest     bytea PRIMARY KEY,               -- SHA-256 of the whole key; the key itself is nowhere
    public_id  text COLLATE "C" NOT NULL UNIQUE,
    key_id     text COLLATE "C" NOT NULL REFERENCES completions_mw.keys (id) ON DELETE CASCADE,
    expires_at double precision,
    created_at double precision NOT NULL
);

CREATE INDEX secrets_by_key ON completions_mw.secrets (key_id);

-- All amounts are nano-dollars.
CREATE TABLE completions_mw.budgets (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope    text COLLATE "C" NOT NULL,
    name     text COLLATE "C" NOT NULL,
    period   text COLLATE "C" NOT NULL,
    "limit"  bigint NOT NULL,
    spent    bigint NOT NULL DEFAULT 0 CHECK (spent >= 0),
    reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    told     integer NOT NULL DEFAULT 0,        -- the highest threshold, in per cent, that was told under this limit
    refused  boolean NOT NULL DEFAULT false,    -- whether a refusal was told under this limit
    UNIQUE (scope, name, period)
) WITH (fillfactor = 50);

-- One row for each request: reserved -> settled, or -> reaped -> settled.
CREATE TABLE completions_mw.entries (
    request_id        text COLLATE "C" PRIMARY KEY,
    scope             text NOT NULL,
    key               text COLLATE "C" NOT NULL,
    tenant            text COLLATE "C" NOT NULL,
    model             text COLLATE "C" NOT NULL,
    stream            boolean NOT NULL,
    started_ms        bigint NOT NULL,
    state             text NOT NULL,
    budget            bigint,                   -- budgets.id, where the request is charged to budgets
    other_budget      bigint,
    reserved          bigint NOT NULL DEFAULT 0,
    amount            bigint NOT NULL DEFAULT 0, -- while reserved the checkpoint, then the cost
    adjustment        bigint NOT NULL DEFAULT 0, -- what a late settlement added to the cost
    expires_at        timestamptz,              -- of the reservation
    prompt_tokens     bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    cached_tokens     bigint NOT NULL DEFAULT 0,
    reasoning_tokens  bigint NOT NULL DEFAULT 0,
    estimated         boolean NOT NULL DEFAULT true,
    target            text,
    status            integer,
    code              text,
    finish_reason     text,
    first_ms          bigint,
    total_ms          bigint
) WITH (fillfactor = 80);

CREATE INDEX entries_by_start ON completions_mw.entries (started_ms);
CREATE INDEX entries_by_expiry ON completions_mw.entries (expires_at) WHERE state = 'reserved';
