-- One request again and again with a token; with BENCH_FLOOD "tokens", another wrong token each time, or "health", a question
-- that needs none. BENCH_PAUSE: milliseconds between an answer and the next request. The result is one line of JSON.
local flood, pause = os.getenv("BENCH_FLOOD"), tonumber(os.getenv("BENCH_PAUSE") or "0")
local token, sent = os.getenv("BENCH_TOKEN"), 0

wrk.method = "POST"
wrk.body = os.getenv("BENCH_BODY")
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer " .. token

function request()
  if flood == "health" then
    return wrk.format("GET", "/v2/health/live", {}, "")
  elseif flood then
    sent = sent + 1
    -- In the part before the last: what is signed differs, and its signature fits nothing.
    wrk.headers["authorization"] = "Bearer " .. token:gsub("%.([^.]+)$", string.format("%08x", sent) .. ".%1")
  end
  return wrk.format()
end

if pause > 0 then
  function delay()
    return pause
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'BENCH {"requests": %d, "duration_us": %d, "p50_us": %.1f, "p99_us": %.1f, "broken": %d, "status": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
