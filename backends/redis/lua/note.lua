-- SPDX-License-Identifier: Apache-2.0
-- note.lua - appends rows to the audit, of acts that another storage did. ARGV: prefix, then an id and a row for each.
local AUDIT, AUDITED = ARGV[1] .. ':utapid:audit', ARGV[1] .. ':utapid:audited'
redis.call('LLEN', AUDIT) -- an error, before anything is written, where something else stands there
redis.call('HGET', AUDITED, '')
for i = 2, #ARGV, 2 do
    if not redis.call('HGET', AUDITED, ARGV[i]) then
        redis.call('HSET', AUDITED, ARGV[i], string.format('%d', redis.call('RPUSH', AUDIT, ARGV[i + 1])))
    end
end
return 'OK'
