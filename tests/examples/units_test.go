package examples

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// execStart is the program of a unit, which is installed elsewhere here.
var execStart = regexp.MustCompile(`(?m)^(ExecStart=)/usr/local/bin/anabranch`)

// unit is an example as it would be installed, with a program that is there.
func unit(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "anabranch")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := read(t, filepath.Join(folder, "systemd", name))
	if !execStart.MatchString(text) {
		t.Fatalf("%s does not start /usr/local/bin/anabranch", name)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(execStart.ReplaceAllString(text, "${1}"+program)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUnitsAreSound(t *testing.T) {
	for _, name := range []string{"anabranch.service", "anabranch-haproxy-sync.service"} {
		path := unit(t, name)
		// It says what it does not know, also with status 0; other units of the machine are not ours.
		for line := range strings.Lines(output(t, nil, "systemd-analyze", "verify", "--man=no", path)) {
			if strings.Contains(line, name) {
				t.Errorf("systemd-analyze verify: %s", line)
			}
		}
		// Ten times the exposure that systemd computes, from 0 to 100: it fails above. Plain services have 96.
		output(t, nil, "systemd-analyze", "security", "--offline=true", "--threshold=20", path)
	}
}

// The command lines of the units, with the files that they name in place, are understood.
func TestUnitsStartWhatTheySay(t *testing.T) {
	redistest.Slow(t)
	server := redistest.Start(t)
	config := filepath.Join(t.TempDir(), "anabranch.yaml")
	lines := []string{"region: A", "region-id: 1", "redis: " + server.URL(), "listen: " + redistest.FreeAddr(t), "peer-listen: " + redistest.FreeAddr(t), "admin-listen: " + redistest.FreeAddr(t)}
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(strings.Replace(command(t, "anabranch.service"), "/etc/anabranch/anabranch.yaml", config, 1))
	proxy := redistest.StartCommand(t, args...)
	eventually(t, "it serves", func() bool { return answers(lines[3]) })
	proxy.Stop()

	sync := redistest.StartProgram(t, []string{"ANABRANCH_CONSUL=http://" + redistest.FreeAddr(t), "ANABRANCH_CONSUL_DATACENTER=eu,us"},
		redistest.Binary(t, false), strings.Fields(command(t, "anabranch-haproxy-sync.service"))...)
	eventually(t, "it tries to reach Consul", func() bool { return strings.Contains(sync.Log(), "refused") })
	sync.Stop()
}

// command is what a unit calls the program with.
func command(t *testing.T, name string) string {
	t.Helper()
	_, rest, _ := strings.Cut(read(t, filepath.Join(folder, "systemd", name)), "\nExecStart=/usr/local/bin/anabranch ")
	line, _, _ := strings.Cut(rest, "\n")
	return line
}
