-- What is known of tokens, within bounds: the older of two generations is forgotten once the younger is full.

local ENTRIES = 4096             -- in each generation
local BYTES = 2 * 1024 * 1024    -- of tokens, likewise

local function memory()
  return { young = {}, old = {}, entries = 0, bytes = 0 }
end

local function keep(kept, token, entry)
  if kept.entries >= ENTRIES or kept.bytes >= BYTES then
    kept.old, kept.young, kept.entries, kept.bytes = kept.young, {}, 0, 0
  end
  if kept.young[token] == nil then
    kept.entries, kept.bytes = kept.entries + 1, kept.bytes + #token
  end
  kept.young[token] = entry
end

local function forget(kept, token)
  kept.young[token], kept.old[token] = nil, nil
end

local function find(kept, token)
  return kept.young[token] or kept.old[token]
end
