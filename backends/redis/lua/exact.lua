-- SPDX-License-Identifier: Apache-2.0
-- exact.lua - 64-bit sums: Lua's numbers are doubles, exact to 2^53 only. So an amount is a number where it has less
-- than 16 digits, which is quick, and a decimal text otherwise. Stands before the scripts that name it.

local BILLION, EXACT = 1000000000, 1000000000000000
local call, format, find, byte = redis.call, string.format, string.find, string.byte

-- Whether a text is an integer of at most 64 bits, as Redis itself writes one.
local function is_integer(text)
    return #text <= 20 and find(text, '^%-?[1-9]%d*$') ~= nil or text == '0'
end

-- An amount as two limbs of the same sign; a wide sum has them already.
local function limbs_of(amount)
    if type(amount) == 'table' then
        return amount.high, amount.low
    end
    local text = type(amount) == 'number' and format('%d', amount) or amount
    local sign, digits = 1, text
    if string.sub(text, 1, 1) == '-' then
        sign, digits = -1, string.sub(text, 2)
    end
    local high = string.sub(digits, 1, -10)
    return sign * (high == '' and 0 or tonumber(high)), sign * tonumber(string.sub(digits, -9))
end

-- Brings two limbs to one sign.
local function limbs_settle(high, low)
    local carry = low < 0 and math.ceil(low / BILLION) or math.floor(low / BILLION)
    high, low = high + carry, low - carry * BILLION
    if high > 0 and low < 0 then
        return high - 1, low + BILLION
    elseif high < 0 and low > 0 then
        return high + 1, low - BILLION
    end
    return high, low
end

-- The amount of an integer's text.
local function amount_of(text)
    return #text < 16 and tonumber(text) or text
end

local function text_of(amount)
    return type(amount) == 'number' and format('%d', amount) or amount
end

-- The sum of two amounts; nil where it does not fit 64 bits.
local function add(left, right)
    if type(left) == 'number' and type(right) == 'number' then
        local sum = left + right
        return sum < EXACT and sum > -EXACT and sum or format('%d', sum)
    end
    local high1, low1 = limbs_of(left)
    local high2, low2 = limbs_of(right)
    local high, low = limbs_settle(high1 + high2, low1 + low2)
    local max = (high < 0 or low < 0) and 854775808 or 854775807
    if math.abs(high) > 9223372036 or (math.abs(high) == 9223372036 and math.abs(low) > max) then
        return nil
    elseif high == 0 then
        return low
    end
    return format('%d%09d', high, math.abs(low))
end

-- Adds an amount to a sum of many, or takes it away with a sign of -1. Such a sum may leave 64 bits on its way: add()
-- says whether it fits where it is used.
local function wide_add(wide, amount, sign)
    local high, low = limbs_of(amount)
    wide.high, wide.low = wide.high + sign * high, wide.low + sign * low
end

local function wide_new()
    return {high = 0, low = 0}
end

-- A member of a sorted set of states: what a Node server reads comes first, and is never negative.
local function member_of(total, nonce)
    local text = text_of(total)
    if byte(text) == 45 then -- a minus
        return '0:' .. nonce .. ':' .. text
    end
    return text .. ':' .. nonce
end

-- The state that a member holds, as text.
local function total_of(member)
    local exact = string.match(member, '^0:[^:]*:(%-%d+)$')
    if exact and is_integer(exact) then
        return exact
    end
    local first = string.match(member, '^%-?%d+') or '0'
    first = string.gsub(first, '^(%-?)0+(%d)', '%1%2')
    return is_integer(first) and first or '0'
end

-- Puts another member in place of one. A set that is empty in between would lose the TTL that a Node client gave it.
local function member_replace(key, score, member, total, nonce)
    call('ZADD', key, score, member_of(total, nonce))
    call('ZREM', key, member)
end

-- What a Node client leaves where it knows no state: it lists as 0, and cannot be raised.
local function is_nan(member)
    return string.sub(member, 1, 3) == 'NaN'
end

-- Raises a member by an amount; one that would leave 64 bits stays as it is.
local function member_add(key, score, member, delta, nonce)
    local total = not is_nan(member) and add(amount_of(total_of(member)), delta)
    if total then
        member_replace(key, score, member, total, nonce)
    end
end

-- Makes the member of an interval, if it has none: the state before it, and an amount.
local function member_insert(key, interval, delta, nonce)
    if call('ZCOUNT', key, interval, interval) > 0 then
        return
    end
    local before = call('ZREVRANGEBYSCORE', key, '(' .. interval, '-inf', 'LIMIT', 0, 1)
    local total = add(before[1] and amount_of(total_of(before[1])) or 0, delta)
    if total then
        call('ZADD', key, interval, member_of(total, nonce))
    end
end
