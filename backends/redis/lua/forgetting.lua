-- SPDX-License-Identifier: Apache-2.0
-- forgetting.lua - takes away what a resource came to until a time. Stands before the scripts that name it.

local BLOCK = 32 * 86400000
local OWN = '+utapid:' -- what is ours of a resource begins so, after its name (redis_keys.h)

-- A command on a key of ours. What somebody else left there of another type is dropped, and the key begins anew: a script
-- that fails half-way has counted a part, and is run again.
local function own(command, key, ...)
    local answer = redis.pcall(command, key, ...)
    local why = type(answer) == 'table' and answer.err
    if not why then
        return answer
    elseif not string.find(why, 'WRONGTYPE', 1, true) and not string.find(why, 'not an integer', 1, true) then
        error(why)
    end
    call('DEL', key)
    return call(command, key, ...)
end

local function prefix_of(P, level, name)
    return P .. ':' .. level .. ':' .. name .. ':'
end

-- The key of a state as it is now, from that of its sorted set; the bytes of a location have a name of V1's own.
local function counter_of(P, level, name, metric, set)
    if level == 'locations' and metric == 'storageUtilized' then
        return P .. ':location:' .. name .. ':locationStorage'
    end
    return set .. ':counter'
end

-- A number that no late write had before. It goes on where all of Redis was emptied.
local late
local function late_number(P)
    if not late then
        late = own('INCR', P .. ':utapid:late')
        if late == 1 then
            local now = call('TIME')
            late = call('INCRBY', P .. ':utapid:late', now[1] .. format('%06d', now[2]))
        end
        late = format('%d', late)
    end
    return late
end

-- Drops what was summed up of a day, and of its block of days, that gets another write, and marks the day for those who sum it up at this moment
-- (keep_day.lua). A mark stays where a Node client lets the resource's keys expire: nobody may take the write for undone.
local function day_drop(P, prefix, day)
    local marks = prefix .. OWN .. 'late'
    own('ZADD', marks, late_number(P), day)
    call('PERSIST', marks)
    call('DEL', prefix .. OWN .. day, prefix .. OWN .. 'm' .. format('%d', day - day % BLOCK))
end

local function negated(total)
    if string.sub(total, 1, 1) == '-' then
        return string.sub(total, 2)
    end
    return total == '0' and total or '-' .. total
end

-- Takes one state away up to an interval. Later members come down by what it was; those that are more than a script may
-- do are noted for later (shift.lua).
local function state_forget(P, level, name, metric, interval, unique_next)
    local SLICE, prefix = 64, prefix_of(P, level, name)
    local key = prefix .. metric
    local counter = counter_of(P, level, name, metric, key)
    local before = redis.call('ZREVRANGEBYSCORE', key, interval, '-inf', 'LIMIT', 0, 1)
    local later = redis.call('ZREVRANGEBYSCORE', key, '+inf', '(' .. interval, 'WITHSCORES', 'LIMIT', 0, SLICE + 1)
    -- A year of members takes 10 ms to free here, and none in the background: so the set goes as a whole, and the few
    -- that stay are put back.
    if #later <= 2 * SLICE then
        redis.call('UNLINK', key)
        for i = 1, #later, 2 do
            redis.call('ZADD', key, later[i + 1], later[i])
        end
    else
        redis.call('ZREMRANGEBYSCORE', key, '-inf', interval)
    end
    if #later == 0 then
        redis.call('DEL', counter)
        return
    end
    local delta = negated(before[1] and total_of(before[1]) or '0')
    local most = math.min(#later / 2, SLICE)
    for i = 1, most do
        member_shift(key, later[2 * i], later[2 * i - 1], delta, unique_next())
    end
    if most < #later / 2 then
        local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
        own('RPUSH', prefix .. OWN .. 'shifts', (metric == 'storageUtilized' and 's ' or 'o ') .. first[2] ..
                   ' ' .. delta .. ' ' .. later[2 * most])
        own('SADD', P .. ':utapid:shifting', level .. ':' .. name)
    end
    redis.pcall('INCRBY', counter, delta)
end

-- The interval that a resource's flows begin with, if it is before one: that of its first state, or, of a bucket, where it
-- was created. What was created until then is forgotten with it.
local function flows_begin(prefix, at)
    local created = own('ZSCORE', prefix .. OWN .. 'created', 'at')
    local state = redis.call('ZRANGE', prefix .. 'storageUtilized', 0, 0, 'WITHSCORES')[2]
    if created and tonumber(created) <= at then
        redis.call('DEL', prefix .. OWN .. 'created')
    end
    return math.min(at, tonumber(state or at), tonumber(created or at))
end

-- What is still to be swept of a resource: from the given interval on, or from where an earlier forgetting began.
local function sweep_note(P, level, name, first, interval)
    local sweeping, who = P .. ':utapid:sweeping', level .. ':' .. name
    local from = string.match(own('HGET', sweeping, who) or '', '^(%d+) ')
    if not from or first < tonumber(from) then
        from = string.format('%.0f', first)
    end
    redis.call('HSET', sweeping, who, from .. ' ' .. interval)
end

-- Forgets a resource up to a time. Its old flows stay for a while, and the mark says that they do not count; those of
-- the time's own interval go at once, for what comes after may count there.
local function forget(P, level, name, time, unique_next)
    local prefix = prefix_of(P, level, name)
    local last = tonumber(own('GET', prefix .. OWN .. 'gone') or '')
    if level == 'buckets' then
        own('ZREM', P .. ':utapid:due', name)
    end
    if last and last > tonumber(time) then
        return
    end
    local at = tonumber(time) - tonumber(time) % 900000
    local interval, day = string.format('%.0f', at), string.format('%.0f', at - at % 86400000)
    local first = flows_begin(prefix, at)
    state_forget(P, level, name, 'storageUtilized', interval, unique_next)
    state_forget(P, level, name, 'numberOfObjects', interval, unique_next)
    local flows = {}
    for i, metric in ipairs(FLOW_METRICS) do
        flows[i] = P .. ':' .. level .. ':' .. (at == 0 and '' or interval .. ':') .. name .. ':' .. metric
    end
    redis.call('UNLINK', unpack(flows))
    day_drop(P, prefix, day)
    redis.call('SET', prefix .. OWN .. 'gone', time)
    redis.call('SET', P .. ':utapid:forgotten', '1')
    sweep_note(P, level, name, first, interval)
end
