-- SPDX-License-Identifier: Apache-2.0
-- needs: exact.lua metrics.lua forgetting.lua
-- apply.lua - one hand-over, all of it or nothing.
--
-- A script is not rolled back: so every key is looked at before the first one is written, and what cannot be stored is
-- answered with a word and the culprit. KEYS: the writer's fence ("" without one).
-- ARGV: prefix, from, to, now, taken, window, unique, 1 if marks of forgotten buckets were looked up; then operations,
-- each a letter and its words:
--     U slice n uuid...                           uuids of a slice (redis_keys.h), not more than 2,000
--     C level name interval n (metric delta)...   a cell's deltas
--     M level name mark                           the mark that the caller found for a resource; "" for none
--     F level name time                           forgets it
--     A bucket at                                 appoints the forgetting of a bucket
--     P channel message                           tells those who listen
local ARGV, KEYS = ARGV, KEYS
local P, FROM, TO, NOW, TAKEN, UNIQUE = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[7]
local WINDOW = tonumber(ARGV[6])
local MARKS_KNOWN = ARGV[8] == '1'
local DAY, HOUR, FIRST_DAY = 86400000, 3600000, 1451606400000
local clock = call('TIME')
local now, redis_now = tonumber(NOW), clock[1] * 1000 + math.floor(clock[2] / 1000)
local uniques, budget = 0, 64

local function unique_next()
    uniques = uniques + 1
    return UNIQUE .. format('-%d', uniques)
end

-- Where a cell's flows are kept: their metric comes last.
local function flows_of(cell)
    local when = cell.interval == '0' and '' or cell.interval .. ':' -- V1 leaves it out
    return P .. ':' .. cell.level .. ':' .. when .. cell.name .. ':'
end

-- ---- what is asked for -------------------------------------------------------------------

local steps, cells, marks, slices, forgotten = {}, {}, {}, {}, {}
local at, words = 9, #ARGV
while at <= words do
    local kind = ARGV[at]
    local step = {kind = kind}
    if kind == 'C' then
        step.level, step.name, step.interval = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
        step.prefix, step.time = prefix_of(P, step.level, step.name), tonumber(step.interval)
        step.forgotten = forgotten[step.prefix]
        step.first, step.last = at + 5, at + 3 + 2 * tonumber(ARGV[at + 4])
        cells[#cells + 1] = step
        at = step.last + 2
    elseif kind == 'U' then
        step.slice, step.first, step.last = ARGV[at + 1], at + 3, at + 2 + tonumber(ARGV[at + 2])
        slices[#slices + 1] = step
        at = step.last + 1
    else
        step.first, step.second, step.third = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
        at = at + ((kind == 'P' or kind == 'A') and 3 or 4)
    end
    if kind == 'F' then
        forgotten[prefix_of(P, step.first, step.second)] = step.third
    end
    if kind == 'M' then
        marks[#marks + 1] = step
    elseif kind ~= 'U' then
        steps[#steps + 1] = step
    end
end

-- ---- may it be stored? -------------------------------------------------------------------

if KEYS[1] ~= '' then
    local fence = fit('GET', KEYS[1])
    if fence == nil or fence and not (is_integer(fence) and string.find(fence, '^%d')) then
        return {'UNFENCED', KEYS[1]}
    elseif (fence or '0') ~= FROM then
        return {'FENCED', fence or '0'}
    end
end

local due = own('ZRANGEBYSCORE', P .. ':utapid:due', '-inf', NOW, 'LIMIT', 0, 100)
if #due > 0 then
    table.insert(due, 1, 'DUE')
    return due
end

local SEEN, PERIOD = P .. ':utapid:seen', math.max(WINDOW, DAY)
local function seen_of(period, slice)
    return SEEN .. format(':%d:', period) .. slice
end

local known, uuids = {'KNOWN'}, 0
local period = math.floor(redis_now / PERIOD)
for _, each in ipairs(slices) do
    for past = math.floor((redis_now - WINDOW) / PERIOD), period do
        local taken = own('HMGET', seen_of(past, each.slice), unpack(ARGV, each.first, each.last))
        for i = 1, #taken do
            local before = tonumber(taken[i] or '')
            if before and TAKEN - before <= WINDOW then
                known[#known + 1] = tostring(uuids + i - 1)
            end
        end
    end
    uuids = uuids + each.last - each.first + 1
end
if #known > 1 then
    return known
end

local CHUNK = 4000
local function values_of(keys)
    local values = {}
    for from = 1, #keys, CHUNK do
        local some = call('MGET', unpack(keys, from, math.min(from + CHUNK - 1, #keys)))
        for i = 1, #some do
            values[from + i - 1] = some[i]
        end
    end
    return values
end

if not MARKS_KNOWN and call('EXISTS', P .. ':utapid:forgotten') == 1 then
    return {'MARKS'}
end
for _, each in ipairs(marks) do
    if gone_of(prefix_of(P, each.first, each.second)) ~= each.third then
        return {'MARKS'}
    end
end

-- Every counter that is touched; `key_at` tells which key the amount behind a word of ARGV goes to, `set_at` where a
-- state's members are. Cells come in the order of their intervals, so what a state comes to on the way is what its rows
-- come to.
local keys, place, key_at, set_at = {}, {}, {}, {}
for _, cell in ipairs(cells) do
    local flows = flows_of(cell)
    for i = cell.first, cell.last, 2 do
        local metric, key = ARGV[i], nil
        if STATE_LETTERS[metric] then
            set_at[i] = cell.prefix .. metric
            key = counter_of(P, cell.level, cell.name, metric, set_at[i])
        else
            key = flows .. metric
        end
        local n = place[key]
        if not n then
            n = #keys + 1
            keys[n], place[key] = key, n
        end
        key_at[i] = n
    end
end
local totals, absent, sums, amounts = values_of(keys), {}, {}, {}
for n, key in ipairs(keys) do
    local text = totals[n]
    if not text then
        absent[#absent + 1] = key
        totals[n] = 0
    elseif is_integer(text) and add(amount_of(text), 0) then
        totals[n] = amount_of(text)
    else
        return {'CORRUPT', key}
    end
end

-- What a forgetting leaves of a state is known only afterwards, and what comes behind it in this script could not be
-- refused then. Where any of that is large, they are to be handed over apart. A script has some hundred amounts.
local large = {}
local function is_large(amount)
    return type(amount) == 'string'
end
local function is_apart(n, key, forgotten_at)
    local interval = format('%.0f', tonumber(forgotten_at) - tonumber(forgotten_at) % 900000)
    local before = fit('ZREVRANGEBYSCORE', key, interval, '-inf', 'LIMIT', 0, 1) or {}
    return large[n] or is_large(totals[n]) or is_large(amount_of(total_of(before[1] or '0')))
end

for _, cell in ipairs(cells) do
    for i = cell.first, cell.last, 2 do
        local n, amount = key_at[i], amount_of(ARGV[i + 1])
        amounts[i], sums[n] = amount, add(sums[n] or totals[n], amount)
        large[n] = large[n] or is_large(amount)
        if not sums[n] or (cell.forgotten and set_at[i] and is_apart(n, set_at[i], cell.forgotten)) then
            return {'OVERFLOW', keys[n]}
        end
    end
end
for from = 1, #absent, CHUNK do -- MGET says nothing of a key of another type
    local to = math.min(from + CHUNK - 1, #absent)
    if call('EXISTS', unpack(absent, from, to)) > 0 then
        for n = from, to do
            if call('EXISTS', absent[n]) == 1 then
                return {'CORRUPT', absent[n]}
            end
        end
    end
end

-- Which states have members already that are newer than what comes. What is noted of earlier ones is worked off before
-- it becomes so much that questions take long, each of which looks at all of it; or at once where an amount is large: on
-- its way a state could leave 64 bits that it comes back into.
local newer, SHIFTS_MOST = {}, 10000
for _, cell in ipairs(cells) do
    local after = '(' .. cell.interval
    for i = cell.first, cell.last, 2 do
        local key = set_at[i]
        if key then
            local count = fit('ZCOUNT', key, after, '+inf')
            if count == nil then
                return {'CORRUPT', key}
            end
            newer[i] = count > 0
            if newer[i] and own('LLEN', cell.prefix .. OWN .. 'shifts') > (is_large(amounts[i]) and 0 or SHIFTS_MOST) then
                return {'SHIFTS', cell.level, cell.name}
            end
        end
    end
end
for _, step in ipairs(steps) do
    if step.kind == 'F' then
        if own('LLEN', prefix_of(P, step.first, step.second) .. OWN .. 'shifts') > 0 then
            return {'SHIFTS', step.first, step.second}
        end
    end
end

-- ---- it may: from here on nothing is refused ---------------------------------------------

local noted = 0

-- The delta reaches the interval's own state and every later one, the newest first; what is more than this script may
-- do is noted for later (shift.lua). The newest is never left out, so that a later write finds it right; where a Node
-- client left NaN there, it is what the counter tells.
local function state_shift(cell, metric, key, amount, total)
    local interval = cell.interval
    local members = call('ZREVRANGEBYSCORE', key, '+inf', interval, 'WITHSCORES', 'LIMIT', 0,
                               math.max(budget, 1) + 1)
    local most = math.min(#members / 2, math.max(budget, 1))
    if most > 0 and is_nan(members[1]) then
        member_replace(key, members[2], members[1], total, unique_next())
    elseif most > 0 then
        member_shift(key, members[2], members[1], amount, unique_next())
    end
    for i = 2, most do
        member_shift(key, members[2 * i], members[2 * i - 1], amount, unique_next())
    end
    budget = budget - most
    if most < #members / 2 then
        own('RPUSH', cell.prefix .. OWN .. 'shifts',
            STATE_LETTERS[metric] .. ' ' .. interval .. ' ' .. text_of(amount) .. ' ' .. members[2 * most])
        own('SADD', P .. ':utapid:shifting', cell.level .. ':' .. cell.name)
        noted = noted + 1
    else
        member_insert(key, interval, amount, unique_next())
    end
end

local written = {} -- the newest interval that this script wrote of a state: a forgetting parts cells from earlier ones

local function state_add(cell, at, key, unique)
    local amount, n = amounts[at], key_at[at]
    totals[n] = add(totals[n], amount) or totals[n]
    if newer[at] or cell.time < (written[n] or 0) then
        return state_shift(cell, ARGV[at], key, amount, totals[n])
    end
    local before = call('ZRANGEBYSCORE', key, cell.interval, cell.interval, 'LIMIT', 0, CHUNK)
    call('ZADD', key, cell.interval, member_of(totals[n], unique))
    if #before > 0 then -- only now: an empty set would lose the time at which a Node client lets it go
        call('ZREM', key, unpack(before))
    end
    written[n] = cell.time
end

-- A summary of a day that gets another flow is no longer true. Whose clock is ahead does not matter: either may say so.
local touched = {}
local function day_touch(cell)
    local day = cell.time - cell.time % DAY
    local early = cell.time > redis_now + HOUR
    if day + DAY > redis_now and day + DAY > now and not early then
        return
    end
    local text = format('%d', day)
    local tag = cell.prefix .. text
    if touched[tag] then
        return
    end
    touched[tag] = true
    day_drop(P, cell.prefix, text)
    if early or day < (tonumber(own('GET', cell.prefix .. OWN .. 'since') or '') or FIRST_DAY) then
        own('ZADD', cell.prefix .. OWN .. 'odd', text, text)
        call('PERSIST', cell.prefix .. OWN .. 'odd') -- a Node client may have let all of the resource's keys expire
    end
end

-- A bucket begins: its flows may lie before its first state (forgetting.lua). A Node client that deleted one of that
-- name may have let all keys expire that it found: those that the new one is counted in stay.
local STAYING = {'storageUtilized:counter', 'numberOfObjects:counter', 'storageUtilized', 'numberOfObjects',
                 OWN .. 'shifts', OWN .. 'gone', OWN .. 'created'}
local function bucket_begin(cell)
    local flows = flows_of(cell)
    own('ZADD', cell.prefix .. OWN .. 'created', 'LT', cell.interval, 'at')
    local expiring = call('PERSIST', flows .. 'DeleteBucket')
    for _, what in ipairs(STAYING) do
        expiring = expiring + call('PERSIST', cell.prefix .. what)
    end
    if expiring > 0 then
        for _, metric in ipairs(FLOW_METRICS) do
            call('PERSIST', flows .. metric)
        end
    end
end

local has_due = call('EXISTS', P .. ':utapid:due') == 1
local perform = {}

function perform.C(cell)
    local unique = unique_next()
    for i = cell.first, cell.last, 2 do
        call('INCRBY', keys[key_at[i]], ARGV[i + 1])
        if set_at[i] then
            state_add(cell, i, set_at[i], unique)
        elseif ARGV[i] == 'CreateBucket' and cell.level == 'buckets' then
            bucket_begin(cell)
        end
    end
    day_touch(cell)
    if has_due and cell.level == 'buckets' then
        own('ZREM', P .. ':utapid:due', cell.name)
    end
end

function perform.F(step)
    forget(P, step.first, step.second, step.third, unique_next)
    for metric in pairs(STATE_LETTERS) do -- what was known of it holds no longer
        local set = prefix_of(P, step.first, step.second) .. metric
        local n = place[counter_of(P, step.first, step.second, metric, set)]
        if n then
            totals[n] = amount_of(call('GET', keys[n]) or '0')
        end
    end
end

function perform.A(step)
    own('ZADD', P .. ':utapid:due', step.second, step.first)
    has_due = true
end

function perform.P(step)
    call('PUBLISH', step.first, step.second)
end

for _, step in ipairs(steps) do
    perform[step.kind](step)
end

-- What Redis packs as a list it looks through from end to end for each field; a value that is too long for that makes
-- it a table from the start.
local UNPACKED = string.rep('.', 65)
for _, each in ipairs(slices) do
    local key = seen_of(period, each.slice)
    local words = {'', UNPACKED}
    for i = each.first, each.last do
        words[#words + 1], words[#words + 2] = ARGV[i], TAKEN
    end
    call('HSET', key, unpack(words))
    own('ZADD', SEEN, 'GT', format('%d', redis_now + WINDOW), key)
end
local over = own('ZRANGEBYSCORE', SEEN, '-inf', format('(%d', redis_now), 'LIMIT', 0, math.min(8 + #slices, CHUNK))
if #over > 0 then
    call('UNLINK', unpack(over))
    call('ZREM', SEEN, unpack(over))
end
if KEYS[1] ~= '' and TO ~= FROM then
    call('SET', KEYS[1], TO) -- it never expires, and loses the TTL that an older utapid gave it
end
return {'OK', tostring(noted)}
