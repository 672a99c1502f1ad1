-- Eviction: under a volatile policy Redis takes keys with a TTL when memory is short, and tells nobody. What was taken here is
-- removed in all regions, as far as this one had seen it.

do
  E.stats.evicted_keys = 0

  -- FCALL anabranch_evicted_1 0 {db:key}…
  function E.evicted(argv)
    local refused = E.begin(0)
    if refused then return refused end
    if unrecorded then return 0 end
    local found = 0
    for i = 1, #argv do
      local colon = find(argv[i], ':', 1, true)
      local k = sub(argv[i], colon + 1)
      E.select(tonumber_(sub(argv[i], 1, colon - 1)))
      if call('EXISTS', k) == 0 then
        local S = E.open(k)
        -- What is past its deadline is for its owner to remove. What ran empty is no eviction: nothing of it is alive.
        if S.form and not E.passed(S.rec) and E.any_live(S) then
          E.remove_local(S)
          found = found + 1
        end
      end
    end
    E.stats.evicted_keys = E.stats.evicted_keys + found
    E.finish()
    return found
  end
end
