-- What the ledger does with money: each function is one transaction and one round trip.
--
-- This file runs whole after the migrations, wherever the schema is of an older version. So a change of it needs a new version, and with it a
-- migration, which may hold a comment alone. Where the signature of a function changes, the old one is to be dropped here first, as
-- DROP FUNCTION IF EXISTS completions_mw.name(types): CREATE OR REPLACE would leave both.
--
-- Locks are taken in one order, so that nobody waits for each other: the row of the request, then budgets by their ids.
-- The comparisons are `numeric`, since a sum of two bigints may be none.

-- The highest threshold that is reached, 0 for none.
CREATE OR REPLACE FUNCTION completions_mw.reached(p_spent bigint, p_limit bigint) RETURNS integer
LANGUAGE sql IMMUTABLE
AS $$
    SELECT coalesce(max(threshold), 0)
    FROM unnest(ARRAY[50, 80, 100]) AS threshold
    WHERE p_spent > 0 AND p_limit::numeric * threshold <= p_spent::numeric * 100
$$;

CREATE OR REPLACE FUNCTION completions_mw.open_budget(p_scope text, p_name text, p_period text, p_limit bigint) RETURNS bigint
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
CREATE OR REPLACE FUNCTION completions_mw.lock_budget(p_id bigint, p_limit bigint) RETURNS completions_mw.budgets
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
-- reservations to reap first, so this is no refusal yet. The accounts come sorted, and with them
-- the one of the tenant last.
CREATE OR REPLACE FUNCTION completions_mw.reserve(
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
        request_id, scope, key, tenant, model, stream, started_ms, state, budget_id, tenant_budget_id, reserved, expires_at
    )
    VALUES (
        p_request_id, p_scope, p_key, p_tenant, p_model, p_stream, p_started_ms, 'reserved',
        CASE WHEN p_scopes[1] <> 'tenant' THEN v_ids[1] END, v_ids[array_position(p_scopes, 'tenant')], p_amount,
        clock_timestamp() + p_ttl_ms * interval '1 millisecond'
    )
    ON CONFLICT (request_id) DO NOTHING;
    IF FOUND THEN
        UPDATE completions_mw.budgets b SET reserved = b.reserved + p_amount WHERE b.id = ANY (v_ids);
    END IF;
END
$$;

-- Moves money in one budget, and tells the thresholds that nobody was told of yet.
CREATE OR REPLACE FUNCTION completions_mw.charge(p_id bigint, p_charged numeric, p_released numeric, p_tell boolean)
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

DROP FUNCTION IF EXISTS completions_mw.settle(
    text, text, text, text, text, boolean, bigint, bigint, bigint, bigint, bigint, bigint, boolean, text, integer, text, text, bigint, bigint
);
DROP FUNCTION IF EXISTS completions_mw.settle(
    text, text, text, text, text, boolean, bigint, bigint, bigint, bigint, bigint, bigint, boolean, text, integer, text, text, bigint, bigint,
    boolean, bigint
);

-- Posts what a request cost, once. The rows are the changes of budgets. A request of which nothing is known is charged to the given accounts.
CREATE OR REPLACE FUNCTION completions_mw.settle(
    p_request_id text, p_scope text, p_key text, p_tenant text, p_model text, p_stream boolean, p_started_ms bigint,
    p_cost bigint, p_prompt bigint, p_completion bigint, p_cached bigint, p_reasoning bigint, p_estimated boolean,
    p_target text, p_status integer, p_code text, p_finish_reason text, p_first_ms bigint, p_total_ms bigint,
    p_from_cache boolean, p_saved bigint,
    p_scopes text[], p_names text[], p_periods text[], p_limits bigint[]
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
            target, status, code, finish_reason, first_ms, total_ms, from_cache, saved
        )
        VALUES (
            p_request_id, p_scope, p_key, p_tenant, p_model, p_stream, p_started_ms, 'settled', p_cost,
            p_prompt, p_completion, p_cached, p_reasoning, p_estimated,
            p_target, p_status, p_code, p_finish_reason, p_first_ms, p_total_ms, p_from_cache, p_saved
        )
        ON CONFLICT (request_id) DO NOTHING;
        IF FOUND THEN
            FOR v_id IN
                SELECT completions_mw.open_budget(a.scope, a.name, a.period, a."limit") AS id
                FROM unnest(p_scopes, p_names, p_periods, p_limits) AS a (scope, name, period, "limit")
                ORDER BY id
            LOOP
                RETURN QUERY SELECT * FROM completions_mw.charge(v_id, p_cost, 0, true);
            END LOOP;
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
        first_ms = p_first_ms, total_ms = p_total_ms, from_cache = p_from_cache, saved = p_saved
    WHERE e.request_id = p_request_id;
    FOR v_id IN SELECT id FROM unnest(ARRAY[v_old.budget_id, v_old.tenant_budget_id]) AS id WHERE id IS NOT NULL ORDER BY id LOOP
        RETURN QUERY SELECT * FROM completions_mw.charge(
            v_id,
            CASE WHEN v_late THEN v_adjustment ELSE v_amount END,
            CASE WHEN v_late THEN 0 ELSE v_old.reserved END,
            true
        );
    END LOOP;
END
$$;

-- Undoes that a reservation was reaped, if there is room; tells whether the request may go on.
CREATE OR REPLACE FUNCTION completions_mw.restore(p_request_id text, p_ttl_ms bigint) RETURNS boolean
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
    FOR v_budget IN SELECT * FROM completions_mw.budgets b WHERE b.id IN (v_old.budget_id, v_old.tenant_budget_id) ORDER BY b.id FOR UPDATE LOOP
        IF v_budget.spent::numeric + v_budget.reserved + v_old.reserved - v_old.amount > v_budget."limit" THEN
            RETURN false;
        END IF;
    END LOOP;
    UPDATE completions_mw.budgets b
    SET spent = greatest(b.spent - v_old.amount, 0), reserved = b.reserved + v_old.reserved
    WHERE b.id IN (v_old.budget_id, v_old.tenant_budget_id);
    UPDATE completions_mw.entries e
    SET state = 'reserved', expires_at = clock_timestamp() + p_ttl_ms * interval '1 millisecond'
    WHERE e.request_id = p_request_id;
    RETURN true;
END
$$;

-- Posts the reservations that have expired at a time, and by the clock, at their checkpoints; returns how many. Those that somebody else
-- works on are left to them.
DROP FUNCTION IF EXISTS completions_mw.reap(bigint);
CREATE OR REPLACE FUNCTION completions_mw.reap(p_batch bigint, p_time timestamptz) RETURNS bigint
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
            WHERE state = 'reserved' AND expires_at <= least(clock_timestamp(), p_time)
            LIMIT p_batch
            FOR UPDATE SKIP LOCKED
        ), reaped AS (
            UPDATE completions_mw.entries e
            SET state = 'reaped'
            FROM expired
            WHERE e.request_id = expired.request_id
            RETURNING e.budget_id, e.tenant_budget_id, e.amount, e.reserved
        ), moves AS (
            -- The row without a budget counts the reservations.
            SELECT NULL::bigint AS id, amount, reserved FROM reaped
            UNION ALL
            SELECT budget_id, amount, reserved FROM reaped WHERE budget_id IS NOT NULL
            UNION ALL
            SELECT tenant_budget_id, amount, reserved FROM reaped WHERE tenant_budget_id IS NOT NULL
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

-- Takes steps of the ledger in one transaction; returns an answer to each, in order. Each step is an object with its kind and the parameters
-- of the function of that kind.
--
-- All locks are taken first, in the order that everybody keeps: rows of requests, then new budgets by their names, then budgets by their ids.
-- Without patience, a lock that somebody else holds is hardly waited for.
CREATE OR REPLACE FUNCTION completions_mw.take(p_steps jsonb, p_patient boolean) RETURNS SETOF jsonb
LANGUAGE plpgsql
AS $$
DECLARE
    v_step jsonb;
    v_ids bigint[];
BEGIN
    IF NOT p_patient THEN
        PERFORM set_config('lock_timeout', '10ms', true);
    END IF;
    IF jsonb_array_length(p_steps) > 1 THEN
        WITH locked AS MATERIALIZED (
            SELECT e.budget_id, e.tenant_budget_id
            FROM completions_mw.entries e
            WHERE e.request_id IN (SELECT s ->> 'request_id' FROM jsonb_array_elements(p_steps) AS s WHERE s ->> 'kind' <> 'reserve')
            ORDER BY e.request_id
            FOR UPDATE
        )
        SELECT array_agg(id) INTO v_ids FROM (SELECT budget_id AS id FROM locked UNION SELECT tenant_budget_id FROM locked) AS charged;
        SELECT v_ids || array_agg(completions_mw.open_budget(scope, name, period, "limit") ORDER BY scope, name, period) INTO v_ids
        FROM (
            SELECT scope, name, period, max("limit") AS "limit"
            FROM jsonb_array_elements(p_steps) AS s,
                 ROWS FROM (
                     jsonb_array_elements_text(s -> 'scopes'), jsonb_array_elements_text(s -> 'names'),
                     jsonb_array_elements_text(s -> 'periods'), jsonb_array_elements_text(s -> 'limits')
                 ) AS a (scope, name, period, limit_text),
                 LATERAL (SELECT limit_text::bigint AS "limit") AS l
            WHERE s ->> 'kind' = 'reserve'
            GROUP BY scope, name, period
        ) AS wanted;
        PERFORM 1 FROM completions_mw.budgets b WHERE b.id = ANY (v_ids) ORDER BY b.id FOR UPDATE;
    END IF;
    FOR v_step IN SELECT s.step FROM jsonb_array_elements(p_steps) WITH ORDINALITY AS s (step, at) ORDER BY s.at LOOP
        CASE v_step ->> 'kind'
            WHEN 'reserve' THEN
                RETURN QUERY SELECT coalesce((SELECT to_jsonb(r) FROM completions_mw.reserve(
                    v_step ->> 'request_id', v_step ->> 'scope', v_step ->> 'key', v_step ->> 'tenant', v_step ->> 'model',
                    (v_step ->> 'stream')::boolean, (v_step ->> 'started_ms')::bigint,
                    (v_step ->> 'amount')::bigint, (v_step ->> 'ttl_ms')::bigint,
                    ARRAY(SELECT jsonb_array_elements_text(v_step -> 'scopes')), ARRAY(SELECT jsonb_array_elements_text(v_step -> 'names')),
                    ARRAY(SELECT jsonb_array_elements_text(v_step -> 'periods')),
                    ARRAY(SELECT jsonb_array_elements_text(v_step -> 'limits')::bigint), (v_step ->> 'reaped')::boolean
                ) AS r), 'null');
            WHEN 'checkpoint' THEN
                -- One that comes late must not undo a later one.
                UPDATE completions_mw.entries e
                SET amount = (v_step ->> 'amount')::bigint,
                    prompt_tokens = (v_step ->> 'prompt')::bigint,
                    completion_tokens = (v_step ->> 'completion')::bigint,
                    cached_tokens = (v_step ->> 'cached')::bigint,
                    reasoning_tokens = (v_step ->> 'reasoning')::bigint
                WHERE e.request_id = v_step ->> 'request_id' AND e.state = 'reserved' AND e.amount <= (v_step ->> 'amount')::bigint;
                RETURN NEXT 'null'::jsonb;
            WHEN 'settle' THEN
                -- With a lease, the settlement is of a dead process, whose requests nobody renews.
                IF EXISTS (
                    SELECT 1
                    FROM completions_mw.entries e
                    WHERE e.request_id = v_step ->> 'request_id'
                      AND e.state = 'reserved'
                      AND e.expires_at > clock_timestamp() + (v_step ->> 'lease_ms')::bigint / 2 * interval '1 millisecond'
                ) THEN
                    RETURN NEXT 'null'::jsonb;
                    CONTINUE;
                END IF;
                RETURN QUERY SELECT coalesce((SELECT jsonb_agg(c) FROM completions_mw.settle(
                    v_step ->> 'request_id', v_step ->> 'scope', v_step ->> 'key', v_step ->> 'tenant', v_step ->> 'model',
                    (v_step ->> 'stream')::boolean, (v_step ->> 'started_ms')::bigint,
                    (v_step ->> 'cost')::bigint, (v_step ->> 'prompt')::bigint, (v_step ->> 'completion')::bigint,
                    (v_step ->> 'cached')::bigint, (v_step ->> 'reasoning')::bigint, (v_step ->> 'estimated')::boolean,
                    v_step ->> 'target', (v_step ->> 'status')::integer, v_step ->> 'code', v_step ->> 'finish_reason',
                    (v_step ->> 'first_ms')::bigint, (v_step ->> 'total_ms')::bigint,
                    coalesce((v_step ->> 'from_cache')::boolean, false), coalesce((v_step ->> 'saved')::bigint, 0),
                    ARRAY(SELECT jsonb_array_elements_text(v_step -> 'scopes')), ARRAY(SELECT jsonb_array_elements_text(v_step -> 'names')),
                    ARRAY(SELECT jsonb_array_elements_text(v_step -> 'periods')),
                    ARRAY(SELECT jsonb_array_elements_text(v_step -> 'limits')::bigint)
                ) AS c), '[]');
        END CASE;
    END LOOP;
END
$$;
