package syncer

import (
	"errors"
	"testing"

	"anabranch/crdtmeta"
)

func at(region int, epoch string) crdtmeta.Origin {
	return crdtmeta.Origin{Region: region, Epoch: epoch}
}

func TestChooseStart(t *testing.T) {
	first, second, third := "1-aaaaaa", "2-bbbbbb", "3-cccccc"
	whole := history{
		origin: at(1, third), epochs: map[string]crdtmeta.Time{first: 100, second: 200, third: 300},
		first: 100, last: 350, whole: true,
	}
	trimmed := whole
	trimmed.whole, trimmed.first = false, 310
	tests := []struct {
		name      string
		positions crdtmeta.Frontier
		history   history
		after     crdtmeta.Time
		code      string
	}{
		{"never armed", nil, history{}, 0, codeNotReady},
		{"nothing known, whole log", nil, whole, 0, ""},
		{"nothing known, log trimmed", nil, trimmed, 0, codeBehind},
		{"current epoch", crdtmeta.Frontier{at(1, third): 320}, whole, 320, ""},
		{"current epoch and older ones", crdtmeta.Frontier{at(1, first): 199, at(1, second): 299, at(1, third): 320}, whole, 320, ""},
		{"current epoch, at the end", crdtmeta.Frontier{at(1, third): 350}, whole, 350, ""},
		{"current epoch, past the end", crdtmeta.Frontier{at(1, third): 351}, whole, 0, codeAhead},
		{"older epoch, in the middle", crdtmeta.Frontier{at(1, first): 150}, whole, 150, ""},
		{"older epoch, to its end", crdtmeta.Frontier{at(1, second): 299}, whole, 299, ""},
		{"older epoch with orphans: enters the next one at its first entry", crdtmeta.Frontier{at(1, first): 250}, whole, 199, ""},
		{"older epoch with orphans exactly at the next one", crdtmeta.Frontier{at(1, first): 200}, whole, 199, ""},
		{"orphans above the whole log", crdtmeta.Frontier{at(1, second): 1000}, whole, 299, ""},
		{"older epoch, trimmed", crdtmeta.Frontier{at(1, second): 299}, trimmed, 0, codeBehind},
		{"current epoch, trimmed", crdtmeta.Frontier{at(1, third): 305}, trimmed, 0, codeBehind},
		{"current epoch, just before what is kept", crdtmeta.Frontier{at(1, third): 309}, trimmed, 309, ""},
		{"an epoch that this log never heard of", crdtmeta.Frontier{at(1, "9-ffffff"): 500}, whole, 0, ""},
		{"an epoch that this log never heard of, trimmed", crdtmeta.Frontier{at(1, "9-ffffff"): 500}, trimmed, 0, codeBehind},
		{"positions of other regions do not count", crdtmeta.Frontier{at(2, third): 320}, whole, 0, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			after, err := chooseStart(test.positions, test.history)
			var refusal *peerError
			code := ""
			if errors.As(err, &refusal) {
				code = refusal.code
			}
			if after != test.after || code != test.code {
				t.Errorf("after %d, %q (%v); want %d, %q", after, code, err, test.after, test.code)
			}
		})
	}
}

func TestTrimKeepsWhatTheSlowestPeerLacks(t *testing.T) {
	h := history{origin: at(1, "1-aaaaaa"), epochs: map[string]crdtmeta.Time{"1-aaaaaa": 100}, first: 100, last: 350, whole: true}
	slow := crdtmeta.Frontier{h.origin: 120}
	fast := crdtmeta.Frontier{h.origin: 350}
	if cut, ok := trimCut([]crdtmeta.Frontier{fast, slow}, h); !ok || cut != 120 {
		t.Errorf("cut %d %v, want 120", cut, ok)
	}
	if _, ok := trimCut(nil, h); ok {
		t.Error("a log without peers was trimmed: nobody has it")
	}
	if cut, ok := trimCut([]crdtmeta.Frontier{fast, {}}, h); ok && cut > 0 {
		t.Errorf("cut %d although a peer has nothing", cut)
	}
	impossible := crdtmeta.Frontier{h.origin: 9999}
	if _, ok := trimCut([]crdtmeta.Frontier{impossible}, h); ok {
		t.Error("trimmed by an impossible acknowledgement")
	}
}

func TestIndexIsExactAtBothEnds(t *testing.T) {
	info := logInfo{history: history{first: 1000, last: 2000}, length: 11, added: 50}
	for _, test := range []struct {
		t    crdtmeta.Time
		want int64
	}{{0, 39}, {2000, 50}, {3000, 50}, {1500, 44}} {
		if got := indexAt(test.t, info); got != test.want {
			t.Errorf("indexAt(%d) = %d, want %d", test.t, got, test.want)
		}
	}
}
