-- SPDX-License-Identifier: Apache-2.0
-- keep_day.lua - stores what a reader found out about closed days, unless it may be wrong by now.
--
-- KEYS  the resource's `late`; its two counters and two sorted sets; then for each value: the key that takes it, and
--       a key that it was found in (or the former again, if nothing was found)
-- ARGV  `late` as the reader knew it ("": none); how long to keep, in ms, what is known of a resource without
--       counters, sorted sets or flows; then the values
-- Returns how many were stored.
--
-- A Node server forgets a bucket by EXPIRE on all keys that it finds. What is stored after that must go with them,
-- and what was read of keys that have gone since must not be stored at all.

if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
    return 0
end

local function sooner(left, ttl)
    if left >= 0 and (ttl == nil or left < ttl) then
        return left
    end
    return ttl
end

local known, ttl = false, nil
for i = 2, 5 do
    local left = redis.call('PTTL', KEYS[i])
    known = known or left ~= -2
    ttl = sooner(left, ttl)
end

local stored = 0
for i = 3, #ARGV do
    local target, source = KEYS[2 * i], KEYS[2 * i + 1]
    local found = source ~= target
    local left = found and redis.call('PTTL', source) or -1
    local keep = sooner(left, ttl)
    if not known and not found then
        keep = tonumber(ARGV[2])
    end
    if left ~= -2 then
        if keep then
            redis.call('SET', target, ARGV[i], 'PX', math.max(keep, 1))
        else
            redis.call('SET', target, ARGV[i])
        end
        stored = stored + 1
    end
end
return stored
