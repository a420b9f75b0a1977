-- A sum of nano-dollars may be more than an integer holds, so dollars and the rest are summed apart.
SELECT CASE :by
           WHEN 'key' THEN key
           WHEN 'tenant' THEN tenant
           WHEN 'model' THEN model
           ELSE date(started_ms / 1000, 'unixepoch')
       END AS grouped,
       count(*),
       sum(prompt_tokens),
       sum(completion_tokens),
       sum(cached_tokens),
       sum(reasoning_tokens),
       sum(amount / 1000000000),
       sum(amount % 1000000000),
       sum(estimated)
FROM entries
WHERE state <> 'reserved'
  AND (:since_ms IS NULL OR started_ms >= :since_ms)
  AND (:until_ms IS NULL OR started_ms < :until_ms)
  AND (:key IS NULL OR key = :key)
  AND (:tenant IS NULL OR tenant = :tenant)
  AND (:model IS NULL OR model = :model)
GROUP BY grouped
ORDER BY grouped;
