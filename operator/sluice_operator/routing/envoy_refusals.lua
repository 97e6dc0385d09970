-- What wrong tokens may cost a router: each address that they come from has a budget of refusals. While it is spent, tokens
-- from there that were not right before are told to come again, and nobody is asked about them.

local EACH_MS = 50               -- what a refusal costs: 20 a second
local AT_ONCE_MS = 2000          -- what an address may be behind by: 40 refusals at once

-- By address the time at which everything is paid. Some 8,000 addresses; who is forgotten begins anew.
local paid = memory()

-- Milliseconds by which an address is behind. What is further away than anybody can be, a clock that was set back has
-- left there.
local function behind(source, now)
  local by = (find(paid, source) or now) - now
  return by > 0 and by <= 2 * AT_ONCE_MS and by or 0
end

-- Those that were under way together may all be refused: it is charged for them, up to a bound.
local function charge(source, now)
  keep(paid, source, now + math.min(behind(source, now) + EACH_MS, 2 * AT_ONCE_MS))
end

-- Milliseconds until an address may bring an unknown token.
local function owed(source, now)
  return math.max(behind(source, now) - AT_ONCE_MS + EACH_MS, 0)
end

local function source_of(handle)
  return handle:streamInfo():downstreamDirectRemoteAddress():match("^(.*):%d+$")
end

-- To Envoy 429 is UNAVAILABLE over gRPC.
local function put_off(handle, later, text)
  local said = { [":status"] = "429", ["retry-after"] = later }
  if (handle:headers():get("content-type") or ""):find("^application/grpc") then
    said["grpc-status"] = "8"
  end
  handle:respond(said, text)
end
