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

-- What the ledger does with money: each function is one transaction and one round trip.
--
-- Locks are taken in one order, so that nobody waits for each other: the row of the request, then budgets by their ids.
-- The comparisons are `numeric`, since a sum of two bigints may be none.

-- The highest threshold that is reached, 0 for none.
CREATE FUNCTION completions_mw.reached(p_spent bigint, p_limit bigint) RETURNS integer
LANGUAGE sql IMMUTABLE
AS $$
    SELECT coalesce(max(threshold), 0)
    FROM unnest(ARRAY[50, 80, 100]) AS threshold
    WHERE p_spent > 0 AND p_limit::numeric * threshold <= p_spent::numeric * 100
$$;

CREATE FUNCTION completions_mw.open_budget(p_scope text, p_name text, p_period text, p_limit bigint) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_id bigint;
BEGIN
    LOOP
        SELECT id INTO v_id FROM completions_mw.budgets WHERE scope = p_scope AND name = p_name AND period = p_period;
        IF FOUND THEN
            RETURN v_id;
        END IF;
        INSERT INTO completions_mw.budgets (scope, name, period, "limit") VALUES (p_scope, p_name, p_period, p_limit)
        ON CONFLICT DO NOTHING;
    END LOOP;
END
$$;

-- Locks a budget and gives it the limit of now. What is no longer reached under it will be told when it is reached again.
CREATE FUNCTION completions_mw.lock_budget(p_id bigint, p_limit bigint) RETURNS completions_mw.budgets
LANGUAGE plpgsql
AS $$
DECLARE
    v_budget completions_mw.budgets;
BEGIN
    SELECT * INTO STRICT v_budget FROM completions_mw.budgets WHERE id = p_id FOR UPDATE;
    IF v_budget."limit" <> p_limit THEN
        UPDATE completions_mw.budgets b
        SET "limit" = p_limit, refused = false, told = least(b.told, completions_mw.reached(b.spent, p_limit))
        WHERE b.id = p_id
        RETURNING * INTO v_budget;
    END IF;
    RETURN v_budget;
END
$$;

-- No row: it is held. A row: the account that has no room, by its place among the accounts, from 1; `expired` says that there are
-- reservations to reap first, so this is no refusal yet. The accounts come sorted.
CREATE FUNCTION completions_mw.reserve(
    p_request_id text, p_scope text, p_key text, p_tenant text, p_model text, p_stream boolean, p_started_ms bigint,
    p_amount bigint, p_ttl_ms bigint, p_scopes text[], p_names text[], p_periods text[], p_limits bigint[], p_reaped boolean
)
RETURNS TABLE (account integer, spent bigint, reserved bigint, first boolean, expired boolean)
LANGUAGE plpgsql
AS $$
DECLARE
    v_ids bigint[] := '{}';
    v_budget completions_mw.budgets;
    v_at integer;
BEGIN
    FOR i IN 1 .. cardinality(p_scopes) LOOP
        v_ids := v_ids || completions_mw.open_budget(p_scopes[i], p_names[i], p_periods[i], p_limits[i]);
    END LOOP;
    FOR v_at IN SELECT o.at FROM unnest(v_ids) WITH ORDINALITY AS o (id, at) ORDER BY o.id LOOP
        v_budget := completions_mw.lock_budget(v_ids[v_at], p_limits[v_at]);
        IF v_budget.spent::numeric + v_budget.reserved + p_amount > v_budget."limit" AND (account IS NULL OR v_at < account) THEN
            account := v_at;
            spent := v_budget.spent;
            reserved := v_budget.reserved;
            first := NOT v_budget.refused AND v_budget.told < 100;
        END IF;
    END LOOP;
    IF account IS NOT NULL THEN
        IF EXISTS (SELECT 1 FROM completions_mw.entries e WHERE e.request_id = p_request_id) THEN
            RETURN;
        END IF;
        expired := NOT p_reaped AND EXISTS (
            SELECT 1 FROM completions_mw.entries e WHERE e.state = 'reserved' AND e.expires_at <= clock_timestamp()
        );
        IF first AND NOT expired THEN
            UPDATE completions_mw.budgets b SET refused = true WHERE b.id = v_ids[account];
        END IF;
        RETURN NEXT;
        RETURN;
    END IF;
    INSERT INTO completions_mw.entries (
        request_id, scope, key, tenant, model, stream, started_ms, state, budget, other_budget, reserved, expires_at
    )
    VALUES (
        p_request_id, p_scope, p_key, p_tenant, p_model, p_stream, p_started_ms, 'reserved', v_ids[1], v_ids[2], p_amount,
        clock_timestamp() + p_ttl_ms * interval '1 millisecond'
    )
    ON CONFLICT (request_id) DO NOTHING;
    IF FOUND THEN
        UPDATE completions_mw.budgets b SET reserved = b.reserved + p_amount WHERE b.id = ANY (v_ids);
    END IF;
END
$$;

-- Moves money in one budget, and tells the thresholds that nobody was told of yet.
CREATE FUNCTION completions_mw.charge(p_id bigint, p_charged numeric, p_released numeric, p_tell boolean)
RETURNS TABLE (scope text, name text, period text, "limit" bigint, spent bigint, told integer[])
LANGUAGE plpgsql
AS $$
DECLARE
    v_told integer;
    v_reached integer;
BEGIN
    UPDATE completions_mw.budgets b
    SET spent = least(b.spent + p_charged, 9223372036854775807), reserved = b.reserved - p_released
    WHERE b.id = p_id
    RETURNING b.scope, b.name, b.period, b."limit", b.spent, b.told INTO scope, name, period, "limit", spent, v_told;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_reached := completions_mw.reached(spent, "limit");
    told := ARRAY(SELECT threshold FROM unnest(ARRAY[50, 80, 100]) AS threshold WHERE v_told < threshold AND threshold <= v_reached);
    IF p_tell AND v_told < v_reached THEN
        UPDATE completions_mw.budgets b SET told = v_reached WHERE b.id = p_id;
    END IF;
    RETURN NEXT;
END
$$;

-- The rows are the movements.
CREATE FUNCTION completions_mw.settle(
    p_request_id text, p_scope text, p_key text, p_tenant text, p_model text, p_stream boolean, p_started_ms bigint,
    p_cost bigint, p_prompt bigint, p_completion bigint, p_cached bigint, p_reasoning bigint, p_estimated boolean,
    p_target text, p_status integer, p_code text, p_finish_reason text, p_first_ms bigint, p_total_ms bigint
)
RETURNS TABLE (scope text, name text, period text, "limit" bigint, spent bigint, told integer[])
LANGUAGE plpgsql
AS $$
DECLARE
    v_old completions_mw.entries;
    v_late boolean;
    v_amount bigint;
    v_adjustment bigint;
    v_id bigint;
BEGIN
    LOOP
        SELECT * INTO v_old FROM completions_mw.entries e WHERE e.request_id = p_request_id FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO completions_mw.entries (
            request_id, scope, key, tenant, model, stream, started_ms, state, amount,
            prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, estimated,
            target, status, code, finish_reason, first_ms, total_ms
        )
        VALUES (
            p_request_id, p_scope, p_key, p_tenant, p_model, p_stream, p_started_ms, 'settled', p_cost,
            p_prompt, p_completion, p_cached, p_reasoning, p_estimated,
            p_target, p_status, p_code, p_finish_reason, p_first_ms, p_total_ms
        )
        ON CONFLICT (request_id) DO NOTHING;
        IF FOUND THEN
            RETURN;
        END IF;
    END LOOP;
    IF v_old.state = 'settled' THEN
        RETURN;
    END IF;
    v_late := v_old.state = 'reaped';
    v_amount := CASE WHEN v_late THEN greatest(p_cost, v_old.amount) ELSE p_cost END;
    v_adjustment := CASE WHEN v_late THEN v_amount - v_old.amount ELSE 0 END;
    UPDATE completions_mw.entries e
    SET state = 'settled', amount = v_amount, adjustment = v_adjustment,
        prompt_tokens = p_prompt, completion_tokens = p_completion, cached_tokens = p_cached, reasoning_tokens = p_reasoning,
        estimated = p_estimated, target = p_target, status = p_status, code = p_code, finish_reason = p_finish_reason,
        first_ms = p_first_ms, total_ms = p_total_ms
    WHERE e.request_id = p_request_id;
    FOR v_id IN SELECT id FROM unnest(ARRAY[v_old.budget, v_old.other_budget]) AS id WHERE id IS NOT NULL ORDER BY id LOOP
        RETURN QUERY SELECT * FROM completions_mw.charge(
            v_id,
            CASE WHEN v_late THEN v_adjustment ELSE v_amount END,
            CASE WHEN v_late THEN 0 ELSE v_old.reserved END,
            true
        );
    END LOOP;
END
$$;

-- Undoes that a reservation was reaped, if there is room; tells whether the request has nothing to fear.
CREATE FUNCTION completions_mw.restore(p_request_id text, p_ttl_ms bigint) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v_old completions_mw.entries;
    v_budget completions_mw.budgets;
BEGIN
    SELECT * INTO v_old FROM completions_mw.entries e WHERE e.request_id = p_request_id FOR UPDATE;
    IF v_old.state IS DISTINCT FROM 'reaped' THEN
        RETURN FOUND;
    END IF;
    FOR v_budget IN SELECT * FROM completions_mw.budgets b WHERE b.id IN (v_old.budget, v_old.other_budget) ORDER BY b.id FOR UPDATE LOOP
        IF v_budget.spent::numeric + v_budget.reserved + v_old.reserved - v_old.amount > v_budget."limit" THEN
            RETURN false;
        END IF;
    END LOOP;
    UPDATE completions_mw.budgets b
    SET spent = greatest(b.spent - v_old.amount, 0), reserved = b.reserved + v_old.reserved
    WHERE b.id IN (v_old.budget, v_old.other_budget);
    UPDATE completions_mw.entries e
    SET state = 'reserved', expires_at = clock_timestamp() + p_ttl_ms * interval '1 millisecond'
    WHERE e.request_id = p_request_id;
    RETURN true;
END
$$;

-- Posts expired reservations at their checkpoints; returns how many. Those that somebody else works on are left to them.
CREATE FUNCTION completions_mw.reap(p_batch bigint) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_count bigint := 0;
    v_move record;
BEGIN
    FOR v_move IN
        WITH expired AS (
            SELECT request_id
            FROM completions_mw.entries
            WHERE state = 'reserved' AND expires_at <= clock_timestamp()
            LIMIT p_batch
            FOR UPDATE SKIP LOCKED
        ), reaped AS (
            UPDATE completions_mw.entries e
            SET state = 'reaped'
            FROM expired
            WHERE e.request_id = expired.request_id
            RETURNING e.budget, e.other_budget, e.amount, e.reserved
        ), moves AS (
            -- The row without a budget counts the reservations.
            SELECT NULL::bigint AS id, amount, reserved FROM reaped
            UNION ALL
            SELECT budget, amount, reserved FROM reaped WHERE budget IS NOT NULL
            UNION ALL
            SELECT other_budget, amount, reserved FROM reaped WHERE other_budget IS NOT NULL
        )
        SELECT id, count(*) AS count, sum(amount) AS amount, sum(reserved) AS reserved FROM moves GROUP BY id ORDER BY id
    LOOP
        IF v_move.id IS NULL THEN
            v_count := v_move.count;
        ELSE
            PERFORM completions_mw.charge(v_move.id, v_move.amount, v_move.reserved, false);
        END IF;
    END LOOP;
    RETURN v_count;
END
$$;
