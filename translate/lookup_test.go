package translate

import (
	"strings"
	"testing"
)

func TestLookupFindsEveryCommandInAnyCase(t *testing.T) {
	for _, cmd := range Commands() {
		for _, name := range []string{cmd.Name, strings.ToLower(cmd.Name), mixed(cmd.Name)} {
			if found := Lookup([]byte(name)); found != cmd {
				t.Errorf("Lookup(%q) = %v", name, found)
			}
		}
		for _, sub := range cmd.Subcommands() {
			suffix := strings.ToLower(strings.TrimPrefix(sub.Name, cmd.Name+" "))
			if found := cmd.Sub([]byte(suffix)); found != sub {
				t.Errorf("%s.Sub(%q) = %v", cmd.Name, suffix, found)
			}
		}
	}
}

// TestLookupIsExact guards the word tricks: folding must touch letters only, and overlapping loads must not let names
// of other lengths or with other middles through.
func TestLookupIsExact(t *testing.T) {
	for _, name := range []string{
		"", "G", "GE", "GETT", "GETGET", " GET", "GET ", "GET\x00", "\xc7ET", "\xe7et",
		"BITFIELD\x7fRO", "BITFIELD?RO", "RESTORE\rASKING", "RESTORE\x0dASKING",
		"GEORADIUSBYMEMBER-RO", "GEORADIUSXYMEMBER_RO", "GEORADIUSBYMEMBEr_R", "ZREMRANGEBYSCORES",
		strings.Repeat("A", 1<<16), "CLIENT LIST", "CLIENT|LIST",
	} {
		if found := Lookup([]byte(name)); found != nil {
			t.Errorf("Lookup(%.40q) = %s", name, found.Name)
		}
	}
	client := Lookup([]byte("client"))
	for _, name := range []string{"", "LISTS", "LIS", "CLIENT LIST", strings.Repeat("x", 100)} {
		if found := client.Sub([]byte(name)); found != nil {
			t.Errorf("Sub(%.40q) = %s", name, found.Name)
		}
	}
	if found := Lookup([]byte("get")).Sub([]byte("x")); found != nil {
		t.Errorf("GET has a subcommand %s", found.Name)
	}
}

func TestUpperFoldsLettersOnly(t *testing.T) {
	for b := range 256 {
		got := byte(upper(uint64(b)<<24) >> 24)
		if want := upperByte(byte(b)); got != want {
			t.Errorf("upper(%#x) = %#x, want %#x", b, got, want)
		}
	}
	if got := upper(0x7a61_ff80_5b40_7b60); got != 0x5a41_ff80_5b40_7b60 {
		t.Errorf("neighbours disturb each other: %#x", got)
	}
}

var sink *Command

func BenchmarkLookup(b *testing.B) {
	for _, name := range []string{"GET", "set", "HINCRBYFLOAT", "zremrangebyscore", "georadiusbymember_ro", "nosuch"} {
		b.Run(name, func(b *testing.B) {
			raw := []byte(name)
			for b.Loop() {
				sink = Lookup(raw)
			}
		})
	}
}

// mixed writes every second letter in lower case.
func mixed(name string) string {
	out := []byte(name)
	for i := 0; i < len(out); i += 2 {
		out[i] = strings.ToLower(name)[i]
	}
	return string(out)
}
