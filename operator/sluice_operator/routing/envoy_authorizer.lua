-- Whether a caller may ask: who can tell (the authorizer; in mode JWT the router's own verifier) is asked once, and its
-- answer remembered for the few seconds that it allows. One memory for each worker and each listener; a change of the
-- settings begins a new one. An error in here lets nobody in: without the caller's name, which only this sets, the gate
-- behind it refuses.

local LONGEST_MS = 5000          -- no answer is believed for longer, whatever the authorizer says
local TIMEOUT_MS = 5000
local WARN_EVERY_MS = 1000
local NO_KEYS = "Jwks remote fetch is failed" -- of a verifier that has none yet: says nothing of the token

-- Apart, so that a flood of wrong tokens does not push those out that are known to be right.
local granted, refused = memory(), memory()
local settings
local warned_at = 0

-- A clock that was set back makes an entry older than it is, never younger.
local function fresh(entry, now)
  return entry and entry.since <= now and now < entry.expires
end

local function read_settings(handle)
  local context = handle:filterContext()
  settings = {}
  for _, name in ipairs({ "question", "authority", "known", "strangers", "allow" }) do
    settings[name] = context:get(name)
  end
end

local function request_of(headers, authorization)
  return {
    [":method"] = headers:get(":method"),
    [":path"] = "/authorize" .. headers:get(":path"),
    [":authority"] = settings.authority,
    ["authorization"] = authorization,
    ["x-sluice-authorize"] = settings.question,
    ["x-forwarded-for"] = headers:get("x-forwarded-for"),
    ["x-request-id"] = headers:get("x-request-id"),
  }
end

-- This router's own word that nobody answered: what comes from a server says how long it took.
local function own(answer)
  local status = answer[":status"]
  return (status == "503" or status == "504") and not answer["x-envoy-upstream-service-time"]
end

-- Whether callers cannot be checked. Whatever else is no answer (408, 431, 500, a 503 that is not marked) a caller may
-- have brought about, and a flood that waits for itself is its own doing.
local function away(answer)
  return not answer["x-envoy-overloaded"] and (own(answer) or answer["x-sluice-unavailable"] == "true")
end

local function call(handle, cluster, request)
  local options = { timeout_ms = TIMEOUT_MS, send_xff = false }
  local answer, text = handle:httpCall(cluster, request, "", options)
  if own(answer) and answer[":status"] == "503" and not answer["x-envoy-overloaded"] then
    answer, text = handle:httpCall(cluster, request, "", options)
  end
  return answer, text
end

local REFUSALS = { ["400"] = true, ["401"] = true, ["403"] = true, ["413"] = true, ["415"] = true, ["429"] = true }

local function entry_of(answer, text, now)
  local life = math.min((tonumber(answer["x-sluice-max-age"]) or 0) * 1000, LONGEST_MS)
  local entry = { status = answer[":status"], since = now, expires = now + life, renew = now + life / 2 }
  if entry.status == "200" then
    entry.caller, entry.claims = answer["x-sluice-caller"], answer["x-sluice-claims"]
    return entry.caller and entry.caller ~= "" and entry or nil
  elseif REFUSALS[entry.status] then
    entry.text, entry.challenge, entry.retry = text or "", answer["www-authenticate"], answer["retry-after"]
    return entry
  end
end

-- The answer, kept for as long as it may be; nil where it is none. Also whether whoever is asked is away. `source`: who
-- pays for a refusal; nil where the token was right before.
local function ask(handle, authorization, source)
  local cluster = find(granted, authorization) and settings.known or settings.strangers
  local answer, text = call(handle, cluster, request_of(handle:headers(), authorization))
  local entry = entry_of(answer, text, handle:timestamp())
  if entry and entry.status == "200" then
    forget(refused, authorization)
    keep(granted, authorization, entry)
  elseif entry and text ~= NO_KEYS then
    if source then
      charge(source, entry.since)
    end
    if entry.status == "401" or entry.status == "403" then
      forget(granted, authorization)
    end
    if entry.expires > entry.since then
      keep(refused, authorization, entry)
    end
  end
  return entry, away(answer)
end

local function unavailable(handle, nobody, now)
  if settings.allow and nobody then
    if now >= warned_at + WARN_EVERY_MS or now < warned_at then
      warned_at = now
      handle:logWarn("the authorizer gives no answer: callers are let in unchecked, as spec.access.onUnavailable says")
    end
    handle:headers():replace("x-sluice-unchecked", "true")
  else
    handle:respond({ [":status"] = "503", ["retry-after"] = "1" }, "whether this caller may ask cannot be checked now")
  end
end

local function apply(handle, entry)
  if entry.status == "200" then
    local headers = handle:headers()
    headers:replace("x-sluice-caller", entry.caller)
    if entry.claims then
      headers:replace("x-sluice-claims", entry.claims)
    end
  elseif entry.status == "429" then
    put_off(handle, entry.retry, entry.text)
  else
    if entry.status == "403" then
      handle:headers():replace("x-sluice-forbidden", "true")
    end
    local said = { [":status"] = entry.status, ["www-authenticate"] = entry.challenge, ["retry-after"] = entry.retry }
    handle:respond(said, entry.text)
  end
end

function envoy_on_request(handle)
  if settings == nil then
    read_settings(handle)
  end
  local authorization, now = handle:headers():get("authorization"), handle:timestamp()
  -- What is remembered was looked at before: going through a token takes longer than finding it.
  local entry = authorization and find(granted, authorization)
  if authorization and not fresh(entry, now) then
    entry = find(refused, authorization)
  end
  if fresh(entry, now) then
    -- One request asks again while the others go on with what is known.
    if now < entry.renew or entry.renewing then
      return apply(handle, entry)
    end
    entry.renewing = true
  else
    local fault = malformed(authorization)
    if fault then
      return challenge(handle, fault)
    end
    entry = nil
  end
  local source = find(granted, authorization) == nil and source_of(handle) or nil
  local wait = source and owed(source, now) or 0
  if wait > 0 and entry then
    return apply(handle, entry)
  elseif wait > 0 then
    local later = tostring(math.ceil(wait / 1000))
    return put_off(handle, later, "too many wrong tokens came from this address; try again later")
  end
  local newer, nobody = ask(handle, authorization, source)
  -- While nobody has time to answer, what is known counts to its end.
  if (newer == nil or newer.status == "429") and fresh(entry, handle:timestamp()) then
    newer = entry
  end
  if newer then
    return apply(handle, newer)
  end
  unavailable(handle, nobody, now)
end
