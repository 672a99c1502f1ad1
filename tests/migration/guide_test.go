package migration

import (
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// freePorts finds nine free ports in a row.
func freePorts(t *testing.T) int {
	t.Helper()
	for first := 21000; first < 31000; first += 10 {
		free := true
		for port := first; port < first+9 && free; port++ {
			listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
			if free = err == nil; free {
				listener.Close()
			}
		}
		if free {
			return first
		}
	}
	t.Fatal("no free ports")
	return 0
}

// The example goes the whole way by itself.
func TestTheWalkthroughRuns(t *testing.T) {
	command := exec.Command("../../examples/migration/walkthrough.sh")
	command.Env = append(os.Environ(), "ANABRANCH="+redistest.Binary(t, false), "PORTS="+strconv.Itoa(freePorts(t)))
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, word := range []string{"promoted: ", "no differences", "removed the library", "clients of b: "} {
		if !strings.Contains(string(out), word) {
			t.Errorf("it does not say %q:\n%s", word, out)
		}
	}
}

// Every option that the guide names is one of ours, and every step that it needs is in the walkthrough, too.
func TestTheGuideNamesWhatThereIs(t *testing.T) {
	guide, err := os.ReadFile("../../docs/migration.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("../../examples/migration/walkthrough.sh")
	if err != nil {
		t.Fatal(err)
	}
	known := ""
	for _, command := range [][]string{{"serve"}, {"migrate", "check"}, {"migrate", "report"}, {"migrate", "promote"}, {"uninstall"}, {"members"}, {"status"}, {"verify"}} {
		out, _ := anabranch(t, append(command, "--help")...)
		known += out
	}
	for _, option := range regexp.MustCompile(`--[a-z][a-z-]+[a-z]`).FindAllString(string(guide), -1) {
		if !strings.Contains(known, option) {
			t.Errorf("the guide names %s, which there is not", option)
		}
	}
	for _, step := range []string{"migrate check", "migrate report", "migrate promote", "members remove", "--copy-of A", "--shadow-of A=1", "CRDT WAIT 1 10000", "uninstall", "REPLICAOF"} {
		for name, text := range map[string][]byte{"guide": guide, "walkthrough": script} {
			if !strings.Contains(string(text), step) {
				t.Errorf("the %s lacks %q", name, step)
			}
		}
	}
}
