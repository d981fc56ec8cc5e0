-- SPDX-License-Identifier: Apache-2.0
-- keep_day.lua - stores what a reader found out about closed days, unless it may be wrong by now.
--
-- KEYS  the number of the newest late write; the resource's `late`; its two counters and two sorted sets; then for each
--       value: the key that takes it, and a key that it was found in (or the former again, if nothing was found)
-- ARGV  that number as it was when the reader began; how long to keep, in ms, what is known of a resource without
--       counters, sorted sets or flows; then for each value: the first day that it tells of, the first that it does
--       not, and the value
-- Returns which were stored: 1 or 0 for each.
--
-- A Node server forgets a bucket by EXPIRE on all keys that it finds. What is stored after that must go with them,
-- and what was read of keys that have gone since must not be stored at all.

local VALUES_FROM, KEYS_FROM = 3, 7
local began = ARGV[1]
local touched = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. began, '+inf')
local emptied = tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(began)

local function is_touched(first, beyond)
    for _, day in ipairs(touched) do
        if tonumber(day) >= first and tonumber(day) < beyond then
            return true
        end
    end
    return emptied
end

local function sooner(left, ttl)
    if left >= 0 and (ttl == nil or left < ttl) then
        return left
    end
    return ttl
end

local known, ttl = false, nil
for i = 3, 6 do
    local left = redis.call('PTTL', KEYS[i])
    known = known or left ~= -2
    ttl = sooner(left, ttl)
end

local stored = {}
local function store(target, source, value)
    local found = source ~= target
    local left = found and redis.call('PTTL', source) or -1
    local keep = sooner(left, ttl)
    if left == -2 then
        return 0
    end
    if not known and not found then
        keep = tonumber(ARGV[2])
    end
    if keep then
        redis.call('SET', target, value, 'PX', math.max(keep, 1))
    else
        redis.call('SET', target, value)
    end
    return 1
end

for i = VALUES_FROM, #ARGV, 3 do
    local n = #stored + 1
    local target, source = KEYS[KEYS_FROM + 2 * n - 2], KEYS[KEYS_FROM + 2 * n - 1]
    local wrong = is_touched(tonumber(ARGV[i]), tonumber(ARGV[i + 1]))
    stored[n] = wrong and 0 or store(target, source, ARGV[i + 2])
end
return stored
