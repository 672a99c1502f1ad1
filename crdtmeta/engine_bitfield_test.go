package crdtmeta_test

import (
	"strings"
	"testing"
	"time"
)

// A value that grew for a write which then failed is still there when Redis has read its AOF, as it is in other regions.
func TestWhatABitfieldThatOverflowsLeavesIsInTheAOF(t *testing.T) {
	a := regions(t, 1)[0]
	a.do(t, "CONFIG", "SET", "appendonly", "yes")
	for range 200 {
		info := a.do(t, "INFO", "persistence").Text
		if strings.Contains(info, "aof_rewrite_in_progress:0") && strings.Contains(info, "aof_rewrite_scheduled:0") {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	a.run(t, "BITFIELD", "k", "OVERFLOW", "FAIL", "INCRBY", "u4", "0", "100")
	a.do(t, "DEBUG", "LOADAOF")
	if got := a.do(t, "GET", "k").Text; got != "\x00" {
		t.Errorf("k is %q", got)
	}
}
