-- Charge all windows and lease all slots of a request, or none of them.
--
-- KEYS: the request's record, its windows, its slots.
-- ARGV: request id, length of a lease, number of windows;
--       for each window its limit, its length, the cost, 1 if the cost is a reservation; for each slot its limit.
-- Returns 1 or 0; for each window what is used and how long it lasts; for each slot how many places others hold.
--
-- All times are milliseconds. A record is empty once its request is finished, else {answer or false, reservations, slots}.
-- Reads come before writes, so that a key of a wrong type, or a value that is not ours, changes nothing; the first write is one that Redis
-- refuses when its memory is full.

local at = 0
local function argument()
  at = at + 1
  return ARGV[at]
end

local function foreign()
  return redis.error_reply('WRONGTYPE a value that is not ours')
end

-- Lua itself writes large numbers as 1e+15.
local function integer(number)
  return string.format('%.0f', number)
end

local request, lease, count = argument(), tonumber(argument()), tonumber(argument())

local record = redis.call('GET', KEYS[1])
if record and record ~= '' then
  local readable, known = pcall(cmsgpack.unpack, record)
  if not readable or type(known) ~= 'table' then
    return foreign()
  end
  if known[1] then
    return known[1]
  end
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local admitted = record ~= ''

local windows = {}
for i = 1, count do
  local window = {key = KEYS[1 + i]}
  local limit = tonumber(argument())
  window.length, window.cost, window.refundable = argument(), argument(), argument() == '1'
  local found = redis.call('HMGET', window.key, 'start', 'used')
  -- 16 digits hold each limit, and no double rounds them.
  if found[2] and not (#found[2] <= 16 and string.match(found[2], '^%d+$')) then
    return foreign()
  end
  window.start, window.used = found[1], tonumber(found[2] or 0)
  window.left = found[1] and math.max(1, redis.call('PTTL', window.key)) or tonumber(window.length)
  admitted = admitted and window.used + tonumber(window.cost) <= limit
  windows[i] = window
end

local slots, held = {}, {}
for i = 1, #KEYS - 1 - count do
  slots[i] = KEYS[1 + count + i]
  held[i] = redis.call('ZCOUNT', slots[i], '(' .. integer(now), '+inf')
  admitted = admitted and held[i] < tonumber(argument())
end

local function answer()
  local values = {admitted and 1 or 0}
  for _, window in ipairs(windows) do
    values[#values + 1] = window.used
    values[#values + 1] = window.used > 0 and window.left or 0
  end
  for _, places in ipairs(held) do
    values[#values + 1] = places
  end
  return values
end

if not admitted then
  return answer()
end

local start, keep, reservations = time[1] .. '.' .. time[2], lease, {}
for _, window in ipairs(windows) do
  window.used = window.used + tonumber(window.cost)
  if window.refundable then
    reservations[#reservations + 1] = {window.key, window.start or start, tonumber(window.cost)}
    keep = math.max(keep, window.left)
  end
end

local verdict = answer()
redis.call('SET', KEYS[1], cmsgpack.pack({verdict, reservations, slots}), 'PX', integer(keep))
for _, window in ipairs(windows) do
  if window.start then
    redis.call('HINCRBY', window.key, 'used', window.cost)
  else
    redis.call('HSET', window.key, 'start', start, 'used', window.cost)
    redis.call('PEXPIRE', window.key, window.length)
  end
end
for _, slot in ipairs(slots) do
  redis.call('ZREMRANGEBYSCORE', slot, '-inf', integer(now))
  redis.call('ZADD', slot, integer(now + lease), request)
  if redis.call('PTTL', slot) < lease then
    redis.call('PEXPIRE', slot, integer(lease))
  end
end
return verdict
