SELECT * FROM completions_mw.reserve(
    %(request_id)s, %(scope)s, %(key)s, %(tenant)s, %(model)s, %(stream)s, %(started_ms)s,
    %(amount)s, %(ttl_ms)s, %(scopes)s::text[], %(names)s::text[], %(periods)s::text[], %(limits)s::bigint[], %(reaped)s
);
