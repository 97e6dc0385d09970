-- Which actions make sense now; the operator judges again and answers in status.requests.
local status = obj.status or {}
local rollout = status.rollout
local walking = rollout ~= nil and rollout.failure == nil
local paused = walking and rollout.pause ~= nil
return {
  ["promote"] = {disabled = not paused},
  ["promote-full"] = {disabled = not walking},
  ["pause"] = {disabled = not walking or paused},
  ["resume"] = {disabled = not (paused and rollout.pause.cause == "Request")},
  ["abort"] = {disabled = not walking},
  ["retry"] = {disabled = status.blocked == nil},
}
