package differential

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// topologies are what stands between the client and the data. With peers each script is played in all passes, without in one of every four: they
// differ in what follows a write, and not in how it is read.
var topologies = []struct {
	name    string
	regions int
	oneOf   int
}{
	{"alone", 1, 4},
	{"pair", 2, 1},
}

// passes are the ways in which each script is played.
var passes = []struct {
	name      string
	protocol  string
	pipelined bool
	change    func([]line) []line // nil: the script as it is
}{
	{"resp2", "2", false, nil},
	{"resp3", "3", false, nil},
	{"resp2-pipelined", "2", true, nil},
	{"resp3-pipelined", "3", true, nil},
	{"resp2-multi", "2", true, inMulti},
	{"resp3-multi", "3", false, inMulti},
	{"resp2-script", "2", false, inScript},
	{"resp3-script", "3", true, inScript},
}

// scripts reads all of them, by name.
func scripts(t *testing.T) map[string][]line {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	all := map[string][]line{}
	for _, file := range files {
		all[strings.TrimSuffix(filepath.Base(file), ".txt")] = loadScript(t, file)
	}
	return all
}

func TestScripts(t *testing.T) {
	redistest.Slow(t)
	all := scripts(t)
	for _, topology := range topologies {
		t.Run(topology.name, func(whole *testing.T) {
			var r *rig
			for i, name := range slices.Sorted(maps.Keys(all)) {
				script := all[name]
				whole.Run(name, func(t *testing.T) {
					for j, pass := range passes {
						if (i+j)%topology.oneOf != 0 {
							continue
						}
						if r == nil {
							// The processes belong to the outer test, so that they outlive this script.
							r = newRig(whole, topology.regions)
						}
						broken := false
						t.Run(pass.name, func(t *testing.T) {
							s := r.open(t, pass.protocol)
							defer func() { broken = s.broken }()
							if pass.change != nil {
								s.play(pass.change(script), pass.pipelined)
							} else {
								s.play(script, pass.pipelined)
							}
							r.compareData(s)
						})
						if broken {
							r.cluster.Close()
							r = nil
						}
					}
				})
			}
		})
	}
}

// TestScriptsAreDeterministic plays every script on two plain servers: what differs there is chance, and would be blamed
// on Anabranch elsewhere.
func TestScriptsAreDeterministic(t *testing.T) {
	r := newPlainRig(t)
	for file, script := range scripts(t) {
		t.Run(file, func(t *testing.T) {
			for _, pass := range passes {
				s := r.open(t, pass.protocol)
				s.play(slices.DeleteFunc(slices.Clone(script), func(l line) bool { return l.mode == differs }), pass.pipelined)
				r.compareData(s)
			}
		})
	}
}
