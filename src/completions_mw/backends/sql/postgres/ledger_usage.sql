-- A sum of bigints is a numeric here, so nothing is lost where dollars and the rest are summed apart, as in SQLite.
SELECT CASE %(by)s
           WHEN 'key' THEN key
           WHEN 'tenant' THEN tenant
           WHEN 'model' THEN model
           ELSE to_char(to_timestamp(started_ms / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')
       END COLLATE "C" AS grouped,
       count(*),
       sum(prompt_tokens)::bigint,
       sum(completion_tokens)::bigint,
       sum(cached_tokens)::bigint,
       sum(reasoning_tokens)::bigint,
       sum(amount / 1000000000)::bigint,
       sum(amount %% 1000000000)::bigint,
       count(*) FILTER (WHERE estimated)
FROM completions_mw.entries
WHERE state <> 'reserved'
  AND (%(since_ms)s::bigint IS NULL OR started_ms >= %(since_ms)s::bigint)
  AND (%(until_ms)s::bigint IS NULL OR started_ms < %(until_ms)s::bigint)
  AND (%(key)s::text IS NULL OR key = %(key)s::text)
  AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s::text)
  AND (%(model)s::text IS NULL OR model = %(model)s::text)
GROUP BY grouped
ORDER BY grouped;
