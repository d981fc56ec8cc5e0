-- SPDX-License-Identifier: Apache-2.0
-- needs: exact.lua metrics.lua expiry.lua
-- correct.lua - works off a slice of a resource's pending corrections (apply.lua), the newest members first. Many of
-- them share the way through a slice of members, for late events come in thousands. ARGV: prefix, level, name, nonce.
-- Answers how many are left.
local P, LEVEL, NAME, NONCE = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local MEMBERS, CORRECTIONS, METRICS = 64, 200, {s = 'storageUtilized', o = 'numberOfObjects'}
local prefix = prefix_of(P, LEVEL, NAME)

local function score_of(interval)
    return format('%.0f', interval)
end

-- The corrections, highest first.
local function sorted(corrections, what)
    local copy = {unpack(corrections)}
    table.sort(copy, function(left, right)
        return left[what] > right[what]
    end)
    return copy
end

-- Raises the newest members below the highest cursor, each by the sum of what it lacks: a correction joins the sum
-- where its cursor is passed, and leaves it where its interval is. Returns from where on no member lacks anything.
local function members_raise(key, starts, ends)
    local lowest = score_of(ends[#ends].interval)
    local members = call('ZREVRANGEBYSCORE', key, '(' .. score_of(starts[1].cursor), lowest, 'WITHSCORES',
                         'LIMIT', 0, MEMBERS)
    local lacking, joined, left = wide_new(), 0, 0
    for i = 1, #members, 2 do
        local score = tonumber(members[i + 1])
        while joined < #starts and starts[joined + 1].cursor > score do
            joined = joined + 1
            wide_add(lacking, starts[joined].delta, 1)
        end
        while left < #ends and ends[left + 1].interval > score do
            left = left + 1
            wide_add(lacking, ends[left].delta, -1)
        end
        if joined > left then
            member_add(key, members[i + 1], members[i], lacking, NONCE .. '-' .. i)
        end
    end
    return #members == 2 * MEMBERS and tonumber(members[#members]) or -math.huge
end

-- Makes the members of the corrections that are done, the earliest first, and moves the cursors of the others.
local function corrections_settle(key, ends, lower)
    local sum = wide_new()
    for i = #ends, 1, -1 do
        local correction, next_correction = ends[i], ends[i - 1]
        correction.done = correction.interval >= lower
        correction.cursor = math.min(correction.cursor, lower)
        wide_add(sum, correction.delta, 1)
        if not next_correction or next_correction.interval ~= correction.interval then
            if correction.done then
                member_insert(key, score_of(correction.interval), sum, NONCE .. '+' .. i)
            end
            sum = wide_new()
        end
    end
end

-- The corrections that go along with the first one: all of its state, as long as they are where apply.lua left
-- them; later on those that are as far. Whoever came meanwhile goes along with the next: each would have to begin
-- at the newest member.
local function companions(key, corrections)
    local first, found = corrections[1], {}
    local begins = call('ZCOUNT', key, score_of(first.cursor), '+inf') <= MEMBERS
    for _, correction in ipairs(corrections) do
        if correction.letter == first.letter and (begins or correction.cursor <= first.cursor) then
            found[#found + 1] = correction
        end
    end
    return found
end

-- The corrections that members can be raised by: in their place may be what somebody else put there.
local function corrections_fit(texts)
    local found, members = {}, {}
    for letter, metric in pairs(METRICS) do
        members[letter] = fit('ZCARD', prefix .. metric)
    end
    for _, text in ipairs(texts) do
        local correction = correction_of(text)
        if correction and members[correction.letter] then
            found[#found + 1] = correction
        end
    end
    return found
end

local texts = own('LRANGE', prefix .. OWN .. 'shifts', 0, CORRECTIONS - 1)
local corrections = corrections_fit(texts)
if #corrections > 0 then
    local key = prefix .. METRICS[corrections[1].letter]
    local same = companions(key, corrections)
    local ends = sorted(same, 'interval')
    corrections_settle(key, ends, members_raise(key, sorted(same, 'cursor'), ends))
end

local kept = {}
for _, correction in ipairs(corrections) do
    if not correction.done then
        kept[#kept + 1] = correction_text(correction)
    end
end
return corrections_replace(P, LEVEL, NAME, #texts, kept)
