-- Give back what a request holds, once.
--
-- KEYS: the request's record.
-- ARGV: request id, the tokens that it used (empty to leave its reservations charged), for how long (ms) it stays known as finished.
--
-- The windows and slots are named by the record; all keys share one hash tag. The first write is one that frees memory: after it Redis lets
-- the others pass even when its memory is full. Values that something else wrote are left alone.

local record = redis.call('GET', KEYS[1])
local held = {false, {}, {}}
if record and record ~= '' then
  local readable, known = pcall(cmsgpack.unpack, record)
  if not readable or type(known) ~= 'table' or type(known[2]) ~= 'table' or type(known[3]) ~= 'table' then
    return redis.error_reply('WRONGTYPE a value that is not ours')
  end
  held = known
end

local due = {}
if ARGV[2] ~= '' then
  for _, reservation in ipairs(held[2]) do
    local key, start, cost = unpack(reservation)
    local difference = tonumber(ARGV[2]) - cost
    -- Another start is another window: what was charged to the old one is gone.
    if difference ~= 0 and redis.pcall('HGET', key, 'start') == start then
      due[key] = string.format('%.0f', difference)
    end
  end
end

for _, slot in ipairs(held[3]) do
  redis.pcall('ZREM', slot, ARGV[1])
end
redis.call('DEL', KEYS[1])
for key, difference in pairs(due) do
  redis.pcall('HINCRBY', key, 'used', difference)
end
redis.call('SET', KEYS[1], '', 'PX', ARGV[3])
return 1
