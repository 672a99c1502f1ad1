package syncer

import (
	"errors"
	"fmt"
	"strings"

	"anabranch/crdtmeta"
)

// The statuses of an apply call (docs/engine.md, section 3).
const (
	replyOK     = "ok"
	replyWait   = "wait"
	replyPaused = "paused"
	replyMerges = "merges"
	replyGap    = "gap"
	replyFetch  = "fetch"
)

// reply is the answer of an apply call.
type reply struct {
	frontier crdtmeta.Time
	done     int // entries, from the first one on, that are applied now or were before
	status   string
	detail   string
}

var errReply = errors.New("unexpected reply of the engine")

func parseReply(values []any, sent int) (r reply, err error) {
	if len(values) < 3 {
		return r, fmt.Errorf("%w: %d values", errReply, len(values))
	}
	if r.frontier, err = crdtmeta.ParseTime(fmt.Sprint(values[0])); err != nil {
		return r, fmt.Errorf("%w: frontier: %w", errReply, err)
	}
	done, ok := values[1].(int64)
	if !ok || done < 0 || done > int64(sent) {
		return r, fmt.Errorf("%w: %v of %d entries done", errReply, values[1], sent)
	}
	r.done = int(done)
	r.status = fmt.Sprint(values[2])
	if len(values) > 3 && values[3] != nil {
		r.detail = fmt.Sprint(values[3])
	}
	return r, nil
}

// parseMissing reads "<origin> <t>".
func parseMissing(detail string) (crdtmeta.Origin, crdtmeta.Time, error) {
	name, value, _ := strings.Cut(detail, " ")
	origin, err := crdtmeta.ParseOrigin(name)
	if err == nil {
		var t crdtmeta.Time
		if t, err = crdtmeta.ParseTime(value); err == nil {
			return origin, t, nil
		}
	}
	return crdtmeta.Origin{}, 0, fmt.Errorf("%w: wait: %w", errReply, err)
}

// parseFetch reads "<db> <key>". The key is the rest, whatever bytes it has.
func parseFetch(detail string) (int64, []byte, error) {
	number, key, found := strings.Cut(detail, " ")
	db, err := parseCount(number)
	if err != nil || !found {
		return 0, nil, fmt.Errorf("%w: fetch", errReply)
	}
	return db, []byte(key), nil
}
