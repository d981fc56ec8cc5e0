-- SPDX-License-Identifier: Apache-2.0
-- forgetting.lua - takes away what a resource came to until a time. Stands before the scripts that name it.

local BLOCK = 32 * 86400000
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

-- Drops what was summed up of a day, and of its block of days, that gets another write, and marks the day for those who
-- sum it up at this moment (keep_day.lua). A mark stays where a Node client lets the resource's keys expire: nobody may
-- take the write for undone.
local function day_drop(P, prefix, day)
    local marks = prefix .. OWN .. 'late'
    own('ZADD', marks, late_number(P), day)
    call('PERSIST', marks)
    call('DEL', prefix .. OWN .. day, prefix .. OWN .. 'm' .. format('%d', day - day % BLOCK))
end

-- ---- late changes of state that are not worked off ---------------------------------------

local STATE_LETTERS = {storageUtilized = 's', numberOfObjects = 'o'}

-- What an element of `shifts` tells: members from its interval to before its cursor lack its delta. nil: it is none of
-- ours.
local function note_of(text)
    local letter, interval, delta, cursor = string.match(text, '^([so]) (%d+) (%-?%d+) (%d+)$')
    if not letter or not is_integer(delta) or #interval > 15 or #cursor > 15 then
        return nil
    end
    local note = {letter = letter, interval = tonumber(interval), delta = delta, cursor = tonumber(cursor)}
    return note.interval < note.cursor and note or nil
end

local function note_text(note)
    return format('%s %.0f %s %.0f', note.letter, note.interval, note.delta, note.cursor)
end

-- Puts elements of `shifts` where the first `count` of them were; without any left, nobody looks for them any more.
-- Returns how many are left.
local function notes_replace(P, level, name, count, texts)
    local shifts = prefix_of(P, level, name) .. OWN .. 'shifts'
    own('LTRIM', shifts, count, -1)
    for i = #texts, 1, -1 do
        call('LPUSH', shifts, texts[i])
    end
    local left = own('LLEN', shifts)
    if left == 0 then
        own('SREM', P .. ':utapid:shifting', level .. ':' .. name)
    end
    return left
end

-- A forgetting may come upon notes of its own script. Takes away from `wide` what the newest member up to an interval
-- still lacks; the notes go on for the later members alone, the first of which is given: a member that stands is not
-- made.
local function notes_forget(P, level, name, letter, interval, newest, first, wide)
    local texts, kept = own('LRANGE', prefix_of(P, level, name) .. OWN .. 'shifts', 0, -1), {}
    for _, text in ipairs(texts) do
        local note = note_of(text)
        if note and note.letter == letter and note.interval <= interval then
            if note.cursor > newest then
                wide_add(wide, note.delta, -1)
            end
            note.interval = first
            text = note_text(note)
        end
        if note and note.interval < note.cursor then
            kept[#kept + 1] = text
        end
    end
    if #texts > 0 then
        notes_replace(P, level, name, #texts, kept)
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
-- do are noted for later (shift.lua). What somebody left there that is no sorted set goes along, as own() has it: a Node
-- client lets every key of a deleted bucket expire, whatever it holds. A counter that is no number becomes what the
-- newest state tells.
local function state_forget(P, level, name, metric, interval, unique_next)
    local SLICE, prefix, taken = 64, prefix_of(P, level, name), wide_new()
    local key, letter = prefix .. metric, STATE_LETTERS[metric]
    local counter = counter_of(P, level, name, metric, key)
    local before = own('ZREVRANGEBYSCORE', key, interval, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
    local later = call('ZREVRANGEBYSCORE', key, '+inf', '(' .. interval, 'WITHSCORES', 'LIMIT', 0, SLICE + 1)
    members_drop(prefix, key, interval)
    local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
    wide_add(taken, before[1] and total_of(before[1]) or '0', -1)
    notes_forget(P, level, name, letter, tonumber(interval), tonumber(before[2] or -math.huge),
                 tonumber(first or math.huge), taken)
    if not first then
        call('DEL', counter)
        return
    end
    local delta, most = text_of(add(0, taken) or '0'), math.min(#later / 2, SLICE)
    for i = 1, most do
        member_shift(key, later[2 * i], later[2 * i - 1], taken, unique_next())
    end
    if most < #later / 2 then
        own('RPUSH', prefix .. OWN .. 'shifts', letter .. ' ' .. first .. ' ' .. delta .. ' ' .. later[2 * most])
        own('SADD', P .. ':utapid:shifting', level .. ':' .. name)
    end
    if fit('INCRBY', counter, delta) == nil then
        call('SET', counter, total_of(call('ZREVRANGE', key, 0, 0)[1]))
    end
end

-- When a resource was forgotten, as text; "" for never. What is longer than any time is no mark: redis_mark has no
-- room.
local function gone_of(prefix)
    local text = own('GET', prefix .. OWN .. 'gone') or ''
    return #text < 24 and text or ''
end

-- The interval that a resource's flows begin with, if it is before one: that of its first state, or, of a bucket, where
-- it was created. What was created until then is forgotten with it.
local function flows_begin(prefix, at)
    local created = own('ZSCORE', prefix .. OWN .. 'created', 'at')
    local state = own('ZRANGE', prefix .. 'storageUtilized', 0, 0, 'WITHSCORES')[2]
    if created and tonumber(created) <= at then
        redis.call('DEL', prefix .. OWN .. 'created')
    end
    local first = math.min(at, tonumber(state or at), tonumber(created or at))
    return first - first % 900000
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
    local last = tonumber(gone_of(prefix))
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
