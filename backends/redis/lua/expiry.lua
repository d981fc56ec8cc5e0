-- SPDX-License-Identifier: Apache-2.0
-- expiry.lua - takes away what a resource came to until a time. Stands before the scripts that name it.

local MONTH = 32 * 86400000
local OWN = '+utapid:' -- what is ours of a resource begins so, after its name (redis_keys.h)

-- What a command answers; nil where its key holds what the command is not for: another type, or a number that cannot
-- grow. Any other refusal (a right that is lacking) is no word about the key, and is raised.
local UNFIT = {'WRONGTYPE', 'not an integer', 'would overflow'}
local function fit(...)
    local answer = redis.pcall(...)
    local why = type(answer) == 'table' and answer.err
    if not why then
        return answer
    end
    for _, each in ipairs(UNFIT) do
        if string.find(why, each, 1, true) then
            return nil
        end
    end
    error(why)
end

-- A command on a key of ours. What somebody else left there is dropped, and the key begins anew: a script that fails
-- half-way has counted a part, and is run again.
local function own(command, key, ...)
    local answer = fit(command, key, ...)
    if answer == nil then
        call('DEL', key)
        answer = call(command, key, ...)
    end
    return answer
end

local function prefix_of(P, level, name)
    return P .. ':' .. level .. ':' .. name .. ':'
end

-- What the keys of a resource's flows in an interval begin with: their metric comes last.
local function flows_prefix(P, level, name, interval)
    local when = interval == '0' and '' or interval .. ':' -- V1 leaves it out
    return P .. ':' .. level .. ':' .. when .. name .. ':'
end

-- Gives texts that are behind a nonce of the caller's, each once.
local function nonces_of(nonce)
    local count = 0
    return function()
        count = count + 1
        return nonce .. format('-%d', count)
    end
end

-- The key of a state as it is now, from that of its sorted set; the bytes of a location have a name of V1's own.
local function counter_of(P, level, name, metric, set)
    if level == 'locations' and metric == 'storageUtilized' then
        return P .. ':location:' .. name .. ':locationStorage'
    end
    return set .. ':counter'
end

-- The generation of this late write: a number that none had before. It goes on where all of Redis was emptied.
local generation
local function generation_next(P)
    if not generation then
        generation = own('INCR', P .. ':utapid:late')
        if generation == 1 then
            local now = call('TIME')
            generation = call('INCRBY', P .. ':utapid:late', now[1] .. format('%06d', now[2]))
        end
        generation = format('%d', generation)
    end
    return generation
end

-- Drops the daily and the monthly rollup of a day that gets another write, and notes the write's generation for
-- those who sum the day up at this moment (store_rollup.lua). The note stays where a Node client lets the
-- resource's keys expire: nobody may believe that there was no write.
local function rollups_drop(P, prefix, day)
    local tombstones = prefix .. OWN .. 'late'
    own('ZADD', tombstones, generation_next(P), day)
    call('PERSIST', tombstones)
    call('DEL', prefix .. OWN .. day, prefix .. OWN .. 'm' .. format('%d', day - day % MONTH))
end

-- ---- pending corrections of states ----------------------------------------------------------

local STATE_LETTERS = {storageUtilized = 's', numberOfObjects = 'o'}

-- What an element of `shifts` says: members from its interval to before its cursor lack its delta. nil: it is none of
-- ours.
local function correction_of(text)
    local letter, interval, delta, cursor = string.match(text, '^([so]) (%d+) (%-?%d+) (%d+)$')
    if not letter or not is_integer(delta) or #interval > 15 or #cursor > 15 then
        return nil
    end
    local correction = {letter = letter, interval = tonumber(interval), delta = delta, cursor = tonumber(cursor)}
    return correction.interval < correction.cursor and correction or nil
end

local function correction_text(correction)
    return format('%s %.0f %s %.0f', correction.letter, correction.interval, correction.delta, correction.cursor)
end

-- Puts elements of `shifts` where the first `count` of them were; without any left, nobody looks for them any more.
-- Returns how many are left.
local function corrections_replace(P, level, name, count, texts)
    local corrections_key = prefix_of(P, level, name) .. OWN .. 'shifts'
    own('LTRIM', corrections_key, count, -1)
    for i = #texts, 1, -1 do
        call('LPUSH', corrections_key, texts[i])
    end
    local left = own('LLEN', corrections_key)
    if left == 0 then
        own('SREM', P .. ':utapid:shifting', level .. ':' .. name)
    end
    return left
end

-- An expiry may come upon corrections of its own script. Takes away from `wide` what the newest member up to an
-- interval still lacks; the corrections go on for the later members alone, the first of which is given: a member
-- that stands is not made.
local function corrections_expire(P, level, name, letter, interval, newest, first, wide)
    local texts, kept = own('LRANGE', prefix_of(P, level, name) .. OWN .. 'shifts', 0, -1), {}
    for _, text in ipairs(texts) do
        local correction = correction_of(text)
        if correction and correction.letter == letter and correction.interval <= interval then
            if correction.cursor > newest then
                wide_add(wide, correction.delta, -1)
            end
            correction.interval = first
            text = correction_text(correction)
        end
        if correction and correction.interval < correction.cursor then
            kept[#kept + 1] = text
        end
    end
    if #texts > 0 then
        corrections_replace(P, level, name, #texts, kept)
    end
end

-- Leaves of a sorted set what came after an interval. A year of members takes 10 ms to free here, and none in the
-- background: so where few stay, these are stored anew, and the set goes as a whole.
local function members_drop(prefix, key, interval)
    local after, anew = '(' .. interval, prefix .. OWN .. 'anew'
    local staying, left = call('ZCOUNT', key, after, '+inf'), call('PTTL', key)
    if 3 * staying > call('ZCARD', key) then
        call('ZREMRANGEBYSCORE', key, '-inf', interval)
    elseif staying == 0 then
        call('UNLINK', key)
    else
        call('ZRANGESTORE', anew, key, after, '+inf', 'BYSCORE')
        call('UNLINK', key)
        call('RENAME', anew, key)
        if left > 0 then
            call('PEXPIRE', key, left)
        end
    end
end

-- Takes one state away up to an interval. Later members come down by what it was; those that are more than a script may
-- do become a pending correction (correct.lua). What somebody left there that is no sorted set goes along, as own() has
-- it: a Node client lets every key of a deleted bucket expire, whatever it holds. A counter that is no number
-- becomes what the newest state is.
local function state_expire(P, level, name, metric, interval, nonce_next)
    local SLICE, prefix, expired = 64, prefix_of(P, level, name), wide_new()
    local key, letter = prefix .. metric, STATE_LETTERS[metric]
    local counter = counter_of(P, level, name, metric, key)
    local before = own('ZREVRANGEBYSCORE', key, interval, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
    local later = call('ZREVRANGEBYSCORE', key, '+inf', '(' .. interval, 'WITHSCORES', 'LIMIT', 0, SLICE + 1)
    members_drop(prefix, key, interval)
    local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
    wide_add(expired, before[1] and total_of(before[1]) or '0', -1)
    corrections_expire(P, level, name, letter, tonumber(interval), tonumber(before[2] or -math.huge),
                 tonumber(first or math.huge), expired)
    if not first then
        call('DEL', counter)
        return
    end
    local delta, max = text_of(add(0, expired) or '0'), math.min(#later / 2, SLICE)
    for i = 1, max do
        member_add(key, later[2 * i], later[2 * i - 1], expired, nonce_next())
    end
    if max < #later / 2 then
        own('RPUSH', prefix .. OWN .. 'shifts', letter .. ' ' .. first .. ' ' .. delta .. ' ' .. later[2 * max])
        own('SADD', P .. ':utapid:shifting', level .. ':' .. name)
    end
    if fit('INCRBY', counter, delta) == nil then
        call('SET', counter, total_of(call('ZREVRANGE', key, 0, 0)[1]))
    end
end

-- A resource's tombstone: when it was expired, as text; "" for never. What is longer than any time is none:
-- redis_tombstone has no room for it.
local function tombstone_of(prefix)
    local text = own('GET', prefix .. OWN .. 'gone') or ''
    return #text < 24 and text or ''
end

-- The interval that a resource's flows begin with, if it is before one: that of its first state, or, of a bucket, where
-- it was created. What was created until then expires with it.
local function flows_begin(prefix, at)
    local created = own('ZSCORE', prefix .. OWN .. 'created', 'at')
    local state = own('ZRANGE', prefix .. 'storageUtilized', 0, 0, 'WITHSCORES')[2]
    if created and tonumber(created) <= at then
        redis.call('DEL', prefix .. OWN .. 'created')
    end
    local first = math.min(at, tonumber(state or at), tonumber(created or at))
    return first - first % 900000
end

-- What is still to be swept of a resource: from the given interval on, or from where an earlier expiry began.
local function sweep_note(P, level, name, first, interval)
    local sweeping, who = P .. ':utapid:sweeping', level .. ':' .. name
    local from = string.match(own('HGET', sweeping, who) or '', '^(%d+) ')
    if not from or first < tonumber(from) then
        from = string.format('%.0f', first)
    end
    redis.call('HSET', sweeping, who, from .. ' ' .. interval)
end

-- The keys of all flows of a resource in an interval.
local function flow_keys(P, level, name, interval)
    local prefix, keys = flows_prefix(P, level, name, interval), {}
    for i, metric in ipairs(FLOW_METRICS) do
        keys[i] = prefix .. metric
    end
    return keys
end

-- Expires a resource up to a time. Its old flows stay for a while, and the tombstone says that they do not count;
-- those of the time's own interval go at once, for what comes after may count there.
local function expire(P, level, name, time, nonce_next)
    local prefix = prefix_of(P, level, name)
    local last = tonumber(tombstone_of(prefix))
    if level == 'buckets' then
        own('ZREM', P .. ':utapid:due', name)
    end
    if last and last > tonumber(time) then
        return
    end
    local at = tonumber(time) - tonumber(time) % 900000
    local interval, day = string.format('%.0f', at), string.format('%.0f', at - at % 86400000)
    local first = flows_begin(prefix, at)
    state_expire(P, level, name, 'storageUtilized', interval, nonce_next)
    state_expire(P, level, name, 'numberOfObjects', interval, nonce_next)
    redis.call('UNLINK', unpack(flow_keys(P, level, name, interval)))
    rollups_drop(P, prefix, day)
    redis.call('SET', prefix .. OWN .. 'gone', time)
    redis.call('SET', P .. ':utapid:forgotten', '1')
    sweep_note(P, level, name, first, interval)
end
