-- SPDX-License-Identifier: Apache-2.0
-- needs: exact.lua metrics.lua expiry.lua
-- apply.lua - one batch, all of it or nothing.
--
-- A script is not rolled back: so every key is looked at before the first one is written, and what cannot be stored is
-- answered with a word and the culprit. KEYS: the writer's fence ("" without one).
-- ARGV: prefix, from, to, now, window, nonce, 1 if tombstones were read; then operations, each a letter and its words:
--     U slice n uuid... accepted...               uuids of a slice (redis_keys.h), not more than 2,000, and when
--                                                 each was accepted
--     C level name interval n (metric delta)...   what changes in an interval of a resource
--     M level name tombstone                      the tombstone that the caller found for a resource; "" for none
--     F level name time                           expires it
--     A bucket at                                 schedules the expiry of a bucket
--     P channel message                           notifies those who listen
--     R level name interval id row n metric...    an operator's act, which the C or F behind it does: its row of the
--                                                 audit, and the metrics that this shows
local ARGV, KEYS = ARGV, KEYS
local P, FROM, TO, NOW, NONCE = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[6]
local WINDOW = tonumber(ARGV[5])
local TOMBSTONES_KNOWN = ARGV[7] == '1'
local DAY, HOUR, FIRST_DAY = 86400000, 3600000, 1451606400000
local clock = call('TIME')
local now, redis_now = tonumber(NOW), clock[1] * 1000 + math.floor(clock[2] / 1000)
local nonce_next, budget = nonces_of(NONCE), 64

-- ---- what is to be done -------------------------------------------------------------------

-- A delta's metrics are numbered from its `first` to its `last`. What is known of each stands in lists of that order:
-- Lua keeps a list without gaps as an array, which is quicker than a table by the words' positions in ARGV.
local steps, deltas, tombstones, slices, expired = {}, {}, {}, {}, {}
local act -- an operator's
local metrics, texts, metric_count = {}, {}, 0
local at, words = 8, #ARGV
while at <= words do
    local kind, step = ARGV[at], nil
    if kind == 'C' then
        local level, name, interval = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
        local prefix, first = prefix_of(P, level, name), metric_count + 1
        local behind = at + 5 + 2 * tonumber(ARGV[at + 4])
        for i = at + 5, behind - 1, 2 do
            metric_count = metric_count + 1
            metrics[metric_count], texts[metric_count] = ARGV[i], ARGV[i + 1]
        end
        step = {kind = kind, level = level, name = name, interval = interval, prefix = prefix,
                time = tonumber(interval), expired = expired[prefix], first = first, last = metric_count}
        deltas[#deltas + 1] = step
        at = behind
    elseif kind == 'U' then
        step = {slice = ARGV[at + 1], first = at + 3, last = at + 2 + tonumber(ARGV[at + 2])}
        slices[#slices + 1] = step
        at = step.last + 1 + tonumber(ARGV[at + 2]) -- when each was accepted stands behind them
    elseif kind == 'R' then
        act = {level = ARGV[at + 1], name = ARGV[at + 2], interval = ARGV[at + 3], id = ARGV[at + 4],
               row = ARGV[at + 5], first = at + 7, last = at + 6 + tonumber(ARGV[at + 6]), keys = {}}
        at = act.last + 1
    else
        step = {kind = kind, first = ARGV[at + 1], second = ARGV[at + 2], third = ARGV[at + 3]}
        at = at + ((kind == 'P' or kind == 'A') and 3 or 4)
    end
    if kind == 'F' then
        expired[prefix_of(P, step.first, step.second)] = step.third
    end
    if kind == 'M' then
        tombstones[#tombstones + 1] = step
    elseif kind ~= 'U' and kind ~= 'R' then
        steps[#steps + 1] = step
    end
end

-- ---- may it be stored? -------------------------------------------------------------------

local function fence_move()
    if KEYS[1] ~= '' and TO ~= FROM then
        call('SET', KEYS[1], TO) -- it never expires, and loses the TTL that an older utapid gave it
    end
end

if KEYS[1] ~= '' then
    local fence = fit('GET', KEYS[1])
    if fence == nil or fence and not (is_integer(fence) and string.find(fence, '^%d')) then
        return {'UNFENCED', KEYS[1]}
    elseif (fence or '0') ~= FROM then
        return {'FENCED', fence or '0'}
    end
end

-- By the clock that is behind: one that is ahead expires nobody's buckets.
local due = own('ZRANGEBYSCORE', P .. ':utapid:due', '-inf', format('%.0f', math.min(now, redis_now)), 'LIMIT', 0, 100)
if #due > 0 then
    table.insert(due, 1, 'DUE')
    return due
end

local DEDUP, PERIOD = P .. ':utapid:seen', math.max(WINDOW, DAY)
local function dedup_of(period, slice)
    return DEDUP .. format(':%d:', period) .. slice
end

local known, uuids = {'KNOWN'}, 0
local period = math.floor(redis_now / PERIOD)
for _, each in ipairs(slices) do
    for past = math.floor((redis_now - WINDOW) / PERIOD), period do
        local key = dedup_of(past, each.slice)
        local accepted = call('EXISTS', key) == 1 and own('HMGET', key, unpack(ARGV, each.first, each.last)) or {}
        for i = 1, #accepted do
            local before = accepted[i] and tonumber(accepted[i])
            if before and ARGV[each.last + i] - before <= WINDOW then
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
    local values = #keys > 0 and call('MGET', unpack(keys, 1, math.min(CHUNK, #keys))) or {}
    for from = CHUNK + 1, #keys, CHUNK do
        for i, value in ipairs(call('MGET', unpack(keys, from, math.min(from + CHUNK - 1, #keys)))) do
            values[from + i - 1] = value
        end
    end
    return values
end

-- An act is done once, whoever brings it; nothing is kept before the last expiry. What stands where the audit was says
-- nothing of what was done.
local AUDIT, AUDITED = P .. ':utapid:audit', P .. ':utapid:audited'
local function figures(counters)
    local values = values_of(counters)
    for i = 1, #counters do
        values[i] = values[i] or '0'
    end
    return table.concat(values, ' ')
end
if act then
    local done, prefix, delta = fit('HGET', AUDITED, act.id), prefix_of(P, act.level, act.name), deltas[1]
    if done == nil or fit('LLEN', AUDIT) == nil then
        return {'UNAUDITED', done == nil and AUDITED or AUDIT}
    elseif done then
        fence_move()
        return {'OK', '0', 'KNOWN'}
    end
    local gone = tonumber(tombstone_of(prefix))
    if delta and gone and gone > delta.time then
        delta.time = gone - gone % 900000
        delta.interval = format('%.0f', delta.time)
        act.interval = delta.interval
    end
    for i = act.first, act.last do
        local metric = ARGV[i]
        act.keys[#act.keys + 1] = STATE_LETTERS[metric] and
            counter_of(P, act.level, act.name, metric, prefix .. metric) or
            flows_prefix(P, act.level, act.name, act.interval) .. metric
    end
    act.before = figures(act.keys)
end

if not TOMBSTONES_KNOWN and call('EXISTS', P .. ':utapid:forgotten') == 1 then
    return {'TOMBSTONES'}
end
for _, each in ipairs(tombstones) do
    if tombstone_of(prefix_of(P, each.first, each.second)) ~= each.third then
        return {'TOMBSTONES'}
    end
end

-- Every counter that is touched; `key_at` says which key a metric's amount goes to, `set_at` where a state's members
-- are. Deltas come in the order of their intervals, so what a state comes to on the way is what its rows come to.
local keys, key_count, position, key_at, set_at = {}, 0, {}, {}, {}
for _, delta in ipairs(deltas) do
    local flows = flows_prefix(P, delta.level, delta.name, delta.interval)
    for i = delta.first, delta.last do
        local metric, key, set = metrics[i], nil, false
        if STATE_LETTERS[metric] then
            set = delta.prefix .. metric
            key = counter_of(P, delta.level, delta.name, metric, set)
        else
            key = flows .. metric
        end
        local n = position[key]
        if not n then
            n = key_count + 1
            key_count, keys[n], position[key] = n, key, n
        end
        key_at[i], set_at[i] = n, set
    end
end
local totals, absent, sums, amounts = values_of(keys), {}, {}, {}
local corrupt, full, unfit_count = {}, {}, 0
local function is_corrupt(n)
    corrupt[n], totals[n], unfit_count = true, 0, unfit_count + 1
end
for n, key in ipairs(keys) do
    local text = totals[n]
    if not text then
        absent[#absent + 1] = n
        totals[n] = 0
    elseif is_integer(text) and (#text < 16 or add(text, 0)) then
        totals[n] = amount_of(text)
    else
        is_corrupt(n)
    end
end

-- What an expiry leaves of a state is known only afterwards, and what comes behind it in this script could not be
-- refused then. Where any of that is large, they have to be delivered apart. A script has some hundred amounts.
local large = {}
local function is_large(amount)
    return type(amount) == 'string'
end
local function is_apart(n, key, expired_at)
    local interval = format('%.0f', tonumber(expired_at) - tonumber(expired_at) % 900000)
    local before = fit('ZREVRANGEBYSCORE', key, interval, '-inf', 'LIMIT', 0, 1) or {}
    return large[n] or is_large(totals[n]) or is_large(amount_of(total_of(before[1] or '0')))
end

-- The metrics that are to blame: those of corrupt keys or, if there are none, of full ones with what those hold. Of a
-- state all intervals are, for its total is one.
local function unfit()
    local is_to_blame, answer, told = next(corrupt) and corrupt or full, {}, {}
    for _, delta in ipairs(deltas) do
        for i = delta.first, delta.last do
            local n = key_at[i]
            if is_to_blame[n] and not told[n] then
                if #answer == 0 then
                    answer = {is_to_blame == corrupt and 'CORRUPT' or 'OVERFLOW', keys[n]}
                end
                told[n] = true
                for _, word in ipairs({delta.level, delta.name, set_at[i] and '' or delta.interval, metrics[i],
                                       is_to_blame == full and text_of(totals[n]) or ''}) do
                    answer[#answer + 1] = word
                end
            end
        end
    end
    return answer
end

local apart
for _, delta in ipairs(deltas) do
    for i = delta.first, delta.last do
        local n, amount = key_at[i], amount_of(texts[i])
        amounts[i], sums[n] = amount, add(sums[n] or totals[n], amount)
        if is_large(amount) then
            large[n] = true
        end
        if not sums[n] and not corrupt[n] and not full[n] then
            full[n], unfit_count = true, unfit_count + 1
        end
        if delta.expired and set_at[i] and not apart and is_apart(n, set_at[i], delta.expired) then
            apart = keys[n]
        end
    end
end
for from = 1, #absent, CHUNK do -- MGET says nothing of a key of another type
    local some = {}
    for i = from, math.min(from + CHUNK - 1, #absent) do
        some[#some + 1] = keys[absent[i]]
    end
    if call('EXISTS', unpack(some)) > 0 then
        for i, key in ipairs(some) do
            if call('EXISTS', key) == 1 then
                is_corrupt(absent[from + i - 1])
            end
        end
    end
end

-- Which states have members already that are newer than what comes. Pending corrections of a state are worked off first
-- where they are many, since each query reads all of them. They are worked off at once where an amount is large: on its
-- way a state could leave 64 bits that it comes back into.
local newer, MAX_CORRECTIONS = {}, 10000
for _, delta in ipairs(deltas) do
    local after = '(' .. delta.interval
    for i = delta.first, delta.last do
        local key = set_at[i]
        if key then
            local count = redis.pcall('ZCOUNT', key, after, '+inf')
            if type(count) ~= 'number' and fit('ZCOUNT', key, after, '+inf') == nil then
                is_corrupt(key_at[i])
                count, keys[key_at[i]] = 0, key
            end
            newer[i] = count > 0
            local limit = is_large(amounts[i]) and 0 or MAX_CORRECTIONS
            if newer[i] and own('LLEN', delta.prefix .. OWN .. 'shifts') > limit then
                return {'CORRECTIONS', delta.level, delta.name}
            end
        end
    end
end
if unfit_count > 0 then
    return unfit()
elseif apart then
    return {'APART', apart}
end
for _, step in ipairs(steps) do
    if step.kind == 'F' then
        if own('LLEN', prefix_of(P, step.first, step.second) .. OWN .. 'shifts') > 0 then
            return {'CORRECTIONS', step.first, step.second}
        end
    end
end

-- ---- it may: from here on nothing is refused ---------------------------------------------

local deferred = 0

-- The delta reaches the interval's own state and every later one, the newest first; what is more than this script may
-- do becomes a pending correction (correct.lua). The newest is never left out, so that a later write finds it
-- right; where a Node client left NaN there, it is what the counter holds.
local function state_add_late(delta, metric, key, amount, total)
    local interval = delta.interval
    local members = call('ZREVRANGEBYSCORE', key, '+inf', interval, 'WITHSCORES', 'LIMIT', 0,
                               math.max(budget, 1) + 1)
    local max = math.min(#members / 2, math.max(budget, 1))
    if max > 0 and is_nan(members[1]) then
        member_replace(key, members[2], members[1], total, nonce_next())
    elseif max > 0 then
        member_add(key, members[2], members[1], amount, nonce_next())
    end
    for i = 2, max do
        member_add(key, members[2 * i], members[2 * i - 1], amount, nonce_next())
    end
    budget = budget - max
    if max < #members / 2 then
        own('RPUSH', delta.prefix .. OWN .. 'shifts',
            STATE_LETTERS[metric] .. ' ' .. interval .. ' ' .. text_of(amount) .. ' ' .. members[2 * max])
        own('SADD', P .. ':utapid:shifting', delta.level .. ':' .. delta.name)
        deferred = deferred + 1
    else
        member_insert(key, interval, amount, nonce_next())
    end
end

local written = {} -- the newest interval that this script wrote of a state: an expiry parts deltas from earlier ones

local function state_add(delta, at, key, nonce)
    local amount, n = amounts[at], key_at[at]
    totals[n] = add(totals[n], amount) or totals[n]
    if newer[at] or delta.time < (written[n] or 0) then
        return state_add_late(delta, metrics[at], key, amount, totals[n])
    end
    local before = call('ZRANGEBYSCORE', key, delta.interval, delta.interval, 'LIMIT', '0', '4000')
    call('ZADD', key, delta.interval, member_of(totals[n], nonce))
    if #before > 0 then -- only now: an empty set would lose the time at which a Node client lets it go
        call('ZREM', key, unpack(before))
    end
    written[n] = delta.time
end

-- The rollup of a day that gets another flow is no longer true. Whose clock is ahead does not matter: either may
-- say so.
local touched = {}
local function rollups_touch(delta)
    local day = delta.time - delta.time % DAY
    local early = delta.time > redis_now + HOUR
    if day + DAY > redis_now and day + DAY > now and not early then
        return
    end
    local text = format('%d', day)
    local tag = delta.prefix .. text
    if touched[tag] then
        return
    end
    touched[tag] = true
    rollups_drop(P, delta.prefix, text)
    if early or day < (tonumber(own('GET', delta.prefix .. OWN .. 'since') or '') or FIRST_DAY) then
        own('ZADD', delta.prefix .. OWN .. 'odd', text, text)
        call('PERSIST', delta.prefix .. OWN .. 'odd') -- a Node client may have let all of the resource's keys expire
    end
end

-- A bucket begins: its flows may lie before its first state (expiry.lua). A Node client that deleted one of that
-- name may have let all keys expire that it found: those that the new one is counted in stay.
local STAYING = {'storageUtilized:counter', 'numberOfObjects:counter', 'storageUtilized', 'numberOfObjects',
                 OWN .. 'shifts', OWN .. 'gone', OWN .. 'created'}
local function bucket_begin(delta)
    local flows = flows_prefix(P, delta.level, delta.name, delta.interval)
    own('ZADD', delta.prefix .. OWN .. 'created', 'LT', delta.interval, 'at')
    local expiring = call('PERSIST', flows .. 'DeleteBucket')
    for _, what in ipairs(STAYING) do
        expiring = expiring + call('PERSIST', delta.prefix .. what)
    end
    if expiring > 0 then
        for _, key in ipairs(flow_keys(P, delta.level, delta.name, delta.interval)) do
            call('PERSIST', key)
        end
    end
end

local has_due = call('EXISTS', P .. ':utapid:due') == 1
local perform = {}

function perform.C(delta)
    local nonce = nonce_next()
    for i = delta.first, delta.last do
        call('INCRBY', keys[key_at[i]], texts[i])
        if set_at[i] then
            state_add(delta, i, set_at[i], nonce)
        elseif metrics[i] == 'CreateBucket' and delta.level == 'buckets' then
            bucket_begin(delta)
        end
    end
    rollups_touch(delta)
    if has_due and delta.level == 'buckets' then
        own('ZREM', P .. ':utapid:due', delta.name)
    end
end

function perform.F(step)
    expire(P, step.first, step.second, step.third, nonce_next)
    for metric in pairs(STATE_LETTERS) do -- what was known of it holds no longer
        local set = prefix_of(P, step.first, step.second) .. metric
        local n = position[counter_of(P, step.first, step.second, metric, set)]
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
    local key = dedup_of(period, each.slice)
    local words, count = {'', UNPACKED}, 2
    for i = each.first, each.last do
        words[count + 1], words[count + 2] = ARGV[i], ARGV[i + 1 + each.last - each.first]
        count = count + 2
    end
    call('HSET', key, unpack(words))
    own('ZADD', DEDUP, 'GT', format('%d', redis_now + WINDOW), key)
end
local over = own('ZRANGEBYSCORE', DEDUP, '-inf', format('(%d', redis_now), 'LIMIT', 0, math.min(8 + #slices, CHUNK))
if #over > 0 then
    call('UNLINK', unpack(over))
    call('ZREM', DEDUP, unpack(over))
end
if act then
    local row = {act.before, figures(act.keys), act.interval, act.row}
    call('HSET', AUDITED, act.id, format('%d', call('RPUSH', AUDIT, table.concat(row, '\n'))))
end
fence_move()
return {'OK', tostring(deferred)}
