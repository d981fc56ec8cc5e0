-- SPDX-License-Identifier: Apache-2.0
-- needs: exact.lua metrics.lua forgetting.lua
-- shift.lua - works off a slice of what late changes of state still have to shift (apply.lua), the newest members first.
-- Many notes share the way through a slice of members, for late events come in thousands. ARGV: prefix, level, name,
-- unique. Answers how much is left.
local P, LEVEL, NAME, UNIQUE = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local MEMBERS, NOTES, METRICS = 64, 200, {s = 'storageUtilized', o = 'numberOfObjects'}
local prefix = prefix_of(P, LEVEL, NAME)

local function score_of(interval)
    return format('%.0f', interval)
end

-- The notes, highest first.
local function sorted(notes, what)
    local copy = {unpack(notes)}
    table.sort(copy, function(left, right)
        return left[what] > right[what]
    end)
    return copy
end

-- Raises the newest members below the highest cursor, each by the sum of what it lacks: a note joins the sum where its
-- cursor is passed, and leaves it where its interval is. Returns from where on no member lacks anything.
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
            member_shift(key, members[i + 1], members[i], lacking, UNIQUE .. '-' .. i)
        end
    end
    return #members == 2 * MEMBERS and tonumber(members[#members]) or -math.huge
end

-- Makes the members of those notes that are done, the earliest first, and moves the cursors of the others.
local function notes_settle(key, ends, lower)
    local sum = wide_new()
    for i = #ends, 1, -1 do
        local note, next_note = ends[i], ends[i - 1]
        note.done = note.interval >= lower
        note.cursor = math.min(note.cursor, lower)
        wide_add(sum, note.delta, 1)
        if not next_note or next_note.interval ~= note.interval then
            if note.done then
                member_insert(key, score_of(note.interval), sum, UNIQUE .. '+' .. i)
            end
            sum = wide_new()
        end
    end
end

-- The notes that go along with the first one: all of its state, as long as they are where apply.lua left them; later on
-- those that are as far. Whoever came meanwhile goes along with the next: each would have to begin at the newest
-- member.
local function companions(key, notes)
    local first, found = notes[1], {}
    local begins = call('ZCOUNT', key, score_of(first.cursor), '+inf') <= MEMBERS
    for _, note in ipairs(notes) do
        if note.letter == first.letter and (begins or note.cursor <= first.cursor) then
            found[#found + 1] = note
        end
    end
    return found
end

-- The notes that members can be raised by: in their place may be what somebody else put there.
local function notes_fit(texts)
    local found, members = {}, {}
    for letter, metric in pairs(METRICS) do
        members[letter] = fit('ZCARD', prefix .. metric)
    end
    for _, text in ipairs(texts) do
        local note = note_of(text)
        if note and members[note.letter] then
            found[#found + 1] = note
        end
    end
    return found
end

local texts = own('LRANGE', prefix .. OWN .. 'shifts', 0, NOTES - 1)
local notes = notes_fit(texts)
if #notes > 0 then
    local key = prefix .. METRICS[notes[1].letter]
    local same = companions(key, notes)
    local ends = sorted(same, 'interval')
    notes_settle(key, ends, members_raise(key, sorted(same, 'cursor'), ends))
end

local kept = {}
for _, note in ipairs(notes) do
    if not note.done then
        kept[#kept + 1] = note_text(note)
    end
end
return notes_replace(P, LEVEL, NAME, #texts, kept)
