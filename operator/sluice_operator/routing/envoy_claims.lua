-- The verifier's answer about a token whose signature, issuer, audience and time have been checked before: whether it
-- says what it must, and the caller's name. An error in here is no answer, so nobody is let in.

local CALLER_BYTES = 256
local LISTED = { scope = true, scp = true } -- claims that are words in one text (RFC 8693, 4.2)
local BELIEVED_SECONDS = 5       -- and by no one for longer than the token lives

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

local function age(left)
  return string.format("%.3f", math.max(0, math.min(BELIEVED_SECONDS, left)))
end

local function forbid(handle, text)
  handle:headers():replace("x-sluice-forbidden", "true")
  handle:respond({ [":status"] = "403", ["x-sluice-max-age"] = age(BELIEVED_SECONDS) }, text)
end

function envoy_on_request(handle)
  local context, headers = handle:filterContext(), handle:headers()
  -- A question about other settings, whose token was not checked, goes on to where there is no answer.
  if headers:get("x-sluice-authorize") ~= context:get("question") then
    return
  end
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
  local left = claims.exp + context:get("skew") - handle:timestamp() / 1000
  handle:respond({
    [":status"] = "200",
    ["x-sluice-caller"] = encoded(caller),
    ["x-sluice-claims"] = headers:get("x-sluice-claims"),
    ["x-sluice-max-age"] = age(left),
  }, "")
end
