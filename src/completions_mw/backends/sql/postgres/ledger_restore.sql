SELECT completions_mw.restore(%(request_id)s, %(ttl_ms)s);
