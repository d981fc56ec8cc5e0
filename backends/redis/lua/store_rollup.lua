-- SPDX-License-Identifier: Apache-2.0
-- store_rollup.lua - stores what a reader found out about closed days, or sums of them, unless it may be wrong by now.
--
-- KEYS  the generation of the newest late write; the resource's `late`; its two counters and two sorted sets; then
--       for each value: the key that holds it, and the keys that it stands on
-- ARGV  that generation as it was when the reader began; how long to keep, in ms, what is known of a resource without
--       counters, sorted sets or flows; then for each value: the first day that it covers, the first that it does
--       not, how many keys it stands on, and the value
-- Returns which were stored: 1 or 0 for each.
--
-- A Node server expires a bucket by EXPIRE on all keys that it finds. What is stored after that must go with them,
-- and what was read of keys that have gone since must not be stored at all.

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

local function store(target, first_source, sources, value)
    local keep = ttl
    for i = first_source, first_source + sources - 1 do
        local left = redis.call('PTTL', KEYS[i])
        if left == -2 then
            return 0
        end
        keep = sooner(left, keep)
    end
    if not known and sources == 0 then
        keep = tonumber(ARGV[2])
    end
    if keep then
        redis.call('SET', target, value, 'PX', math.max(keep, 1))
    else
        redis.call('SET', target, value)
    end
    return 1
end

local stored, at = {}, 7
for i = 3, #ARGV, 4 do
    local wrong = is_touched(tonumber(ARGV[i]), tonumber(ARGV[i + 1]))
    local sources = tonumber(ARGV[i + 2])
    stored[#stored + 1] = wrong and 0 or store(KEYS[at], at + 1, sources, ARGV[i + 3])
    at = at + 1 + sources
end
return stored
