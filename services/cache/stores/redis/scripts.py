"""The two scripts the store runs inside Redis.

A script instead of a pipeline, because a read wants value and time to live of every key: one command and one reply for
any number of keys is half the time of two for each.
"""

from typing import Final

READ: Final = b"""
local budget = tonumber(ARGV[1])
local out, used = {}, 0
for i = 1, #KEYS do
  local value = redis.call('GET', KEYS[i])
  if value then
    used = used + #value
    if i > 1 and used > budget then break end
    out[2 * i - 1] = value
    out[2 * i] = redis.call('PTTL', KEYS[i])
  else
    out[2 * i - 1] = false
    out[2 * i] = 0
  end
end
return out
"""
"""KEYS: what to read. ARGV[1]: bytes after which it stops; the first key is always read. Returns value and time to
live (ms; -1 = for ever) of each key in turn, false and 0 for a missing one; shorter than asked when it stopped."""

WRITE: Final = b"""
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], ARGV[i + 1], 'PX', ARGV[1])
end
return #KEYS
"""
"""KEYS and ARGV[2…]: names and values. ARGV[1]: their time to live in ms. Returns their number."""
