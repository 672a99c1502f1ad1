package syncer

import (
	"testing"
	"time"
)

func TestPacerGathersOnlyUnderLoad(t *testing.T) {
	const gather = 2 * time.Millisecond
	start := time.Unix(1000, 0)
	var p pacer
	if got := p.pause(start, gather); got != 0 {
		t.Fatalf("the first read waits %v", got)
	}
	p.sent(start, 0)
	if got := p.pause(start, gather); got != 0 {
		t.Fatalf("a read after an empty one waits %v", got)
	}
	p.sent(start, 3)
	if got := p.pause(start.Add(500*time.Microsecond), gather); got != 1500*time.Microsecond {
		t.Fatalf("a read right after a shipment waits %v", got)
	}
	if got := p.pause(start.Add(time.Second), gather); got != 0 {
		t.Fatalf("a read after a quiet second waits %v", got)
	}
}
