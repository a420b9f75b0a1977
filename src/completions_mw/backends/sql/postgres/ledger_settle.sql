SELECT * FROM completions_mw.settle(
    %(request_id)s, %(scope)s, %(key)s, %(tenant)s, %(model)s, %(stream)s, %(started_ms)s,
    %(cost)s, %(prompt)s, %(completion)s, %(cached)s, %(reasoning)s, %(estimated)s,
    %(target)s, %(status)s::integer, %(code)s, %(finish_reason)s, %(first_ms)s, %(total_ms)s
);
