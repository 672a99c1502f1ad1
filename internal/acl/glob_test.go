package acl

import (
	"strings"
	"testing"
	"time"
)

// A pattern of many stars must not take exponential time. (That match is Redis's is tested with ACL DRYRUN.)
func TestManyStarsEndSoon(t *testing.T) {
	start := time.Now()
	if match(strings.Repeat("*a", 200)+"*b", strings.Repeat("a", 2000)) || !match(strings.Repeat("*a", 200)+"*", strings.Repeat("a", 2000)) {
		t.Error("wrong result")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}
