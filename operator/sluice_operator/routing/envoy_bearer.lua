-- The one form in which a caller shows who it is: a single token, of bounded length, behind one to eight blanks (as the
-- authorizer reads it). Nobody is asked about anything else.

local TOKEN_BYTES = 16 * 1024

-- What is said to a caller whom nobody needs to be asked about; nil where the token has to be asked about. Several
-- headers come as one, with commas, which no token has.
local function malformed(authorization)
  if authorization == nil then
    return "a token is needed: Authorization: Bearer ..."
  elseif #authorization > TOKEN_BYTES then
    return "the token is too long"
  elseif not authorization:find("^[Bb][Ee][Aa][Rr][Ee][Rr]  ? ? ? ? ? ? ?[%w%-%._~%+/]+=*$") then
    return "one token is needed, in this form: Authorization: Bearer ..."
  end
end

local function challenge(handle, text)
  handle:respond({ [":status"] = "401", ["www-authenticate"] = 'Bearer realm="sluice"' }, text)
end
