-- Written by Holdfast. Changes made here are shown as drift and undone by the next apply.
-- A new session waits here until exactly one server of its farm leads, at most LIMIT_MS: a planned change of leader is
-- over before that. HAProxy by itself has no queue for a farm without a server, it refuses. Nothing is switched on or
-- off for it: every session waits by its own clock, so none can be forgotten here.
local LIMIT_MS, STEP_MS = 2000, 10

core.register_action("wait_for_one", { "tcp-req" }, function(txn, farm)
  local waited_ms = 0
  while txn.f:nbsrv(farm) ~= 1 and waited_ms < LIMIT_MS do
    core.msleep(STEP_MS)
    waited_ms = waited_ms + STEP_MS
  end
end, 1)
