-- Extend leases; take those anew that expired or that were forgotten, where there is room.
--
-- KEYS: for each request its record and its slots.
-- ARGV: length of a lease (ms); for each request its id, the number of its slots and their limits.
-- Returns the ids of the requests that lost a lease.
--
-- Each request's first write is one that frees memory: after it Redis lets the others pass even when its memory is full. A slot that something
-- else wrote is left alone: it must not end the leases of other requests.

local key_at, argument_at = 0, 1
local function key()
  key_at = key_at + 1
  return KEYS[key_at]
end
local function argument()
  argument_at = argument_at + 1
  return ARGV[argument_at]
end

local lease = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local until_then = string.format('%.0f', now + lease)
local expired = string.format('%.0f', now)

local function keep(name)
  if redis.call('PTTL', name) < lease then
    redis.call('PEXPIRE', name, ARGV[1])
  end
end

local function extend(slot, limit, request)
  local kind = redis.call('TYPE', slot).ok
  if kind ~= 'zset' and kind ~= 'none' then
    return true
  end
  redis.call('ZREMRANGEBYSCORE', slot, '-inf', expired)
  local granted = redis.call('ZSCORE', slot, request) or redis.call('ZCARD', slot) < limit
  if granted then
    redis.call('ZADD', slot, until_then, request)
    keep(slot)
  end
  return granted
end

local lost = {}
while key_at < #KEYS do
  local name, request = key(), argument()
  local record, slots, granted = redis.pcall('GET', name), {}, true
  for i = 1, tonumber(argument()) do
    slots[i] = key()
    local limit = tonumber(argument())
    if record ~= '' then
      granted = extend(slots[i], limit, request) and granted
    end
  end
  if not record then
    redis.call('SET', name, cmsgpack.pack({false, {}, slots}), 'PX', ARGV[1])
  elseif type(record) == 'string' and record ~= '' then
    keep(name)
  end
  if not granted then
    lost[#lost + 1] = request
  end
end
return lost
