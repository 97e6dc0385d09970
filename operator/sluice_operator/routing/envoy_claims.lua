-- What a token must say, in mode JWT: its signature, issuer, audience and time have been checked before. Names the
-- caller. An error in here lets nobody in: without the name, which only this sets, the gate behind it refuses.

local CALLER_BYTES = 256
local LISTED = { scope = true, scp = true } -- claims that are words in one text (RFC 8693, 4.2)

-- The same token says the same each time, and is verified each time before it comes here.
local named = memory()

local function claim_of(claims, name)
  local found = claims[name]
  if found == nil then
    found = claims
    for part in name:gmatch("[^.]+") do
      found = type(found) == "table" and found[part] or nil
    end
  end
  return found
end

local function text_of(value)
  if type(value) == "number" and value == math.floor(value) and math.abs(value) < 2 ^ 53 then
    return string.format("%d", value)
  elseif type(value) == "string" or type(value) == "boolean" then
    return tostring(value)
  end
end

local function has(name, found, wanted)
  if type(found) == "table" then
    for _, value in ipairs(found) do
      if text_of(value) == wanted then
        return true
      end
    end
    return false
  elseif LISTED[name] and type(found) == "string" then
    return (" " .. found .. " "):find(" " .. wanted .. " ", 1, true) ~= nil
  end
  return text_of(found) == wanted
end

local function fulfils(claims, required)
  local found = claim_of(claims, required.claim)
  for _, wanted in ipairs(required.values) do
    if found ~= nil and has(required.claim, found, wanted) then
      return true
    end
  end
  return false
end

local function encoded(name)
  return (name:gsub("[^%w%-%._~:@/]", function(byte)
    return string.format("%%%02X", byte:byte())
  end))
end

local function forbid(handle, text)
  handle:headers():replace("x-sluice-forbidden", "true")
  handle:respond({ [":status"] = "403" }, text)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local authorization = headers:get("authorization")
  local known = authorization and find(named, authorization)
  if known then
    return headers:replace("x-sluice-caller", known)
  end
  local fault = malformed(authorization)
  if fault then
    return challenge(handle, fault)
  end
  local context = handle:filterContext()
  local claims = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.jwt_authn").claims
  for _, required in ipairs(context:get("required") or {}) do
    if not fulfils(claims, required) then
      return forbid(handle, "the token's claim " .. required.claim .. " does not say what is needed here")
    end
  end
  local caller = text_of(claim_of(claims, context:get("caller")))
  if caller == nil or caller == "" or #caller > CALLER_BYTES then
    return forbid(handle, "the token does not say who asks: its claim " .. context:get("caller") .. " is needed")
  end
  known = encoded(caller)
  keep(named, authorization, known)
  headers:replace("x-sluice-caller", known)
end
