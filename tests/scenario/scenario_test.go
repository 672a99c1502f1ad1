package scenario

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// stage is the cluster on which scenarios are played one after the other. Every scenario runs on three regions, also one
// that names two: the third must end equal as well.
type stage struct {
	t       *testing.T
	flags   []string // what every proxy is started with
	cluster *redistest.Cluster
}

// requirementFlags is what a scenario's "requires" asks of the proxies; other requirements are met without a flag.
var requirementFlags = map[string][]string{
	"xadd-strict":      {"--xadd-ids", "strict"},
	"xadd-semi-strict": {"--xadd-ids", "semi-strict"},
}

const stageRegions = 3

// ready returns an empty, paused cluster; a new one after a failure, so that one failure does not become many.
func (s *stage) ready() *redistest.Cluster {
	if s.cluster != nil {
		if s.clear() == nil {
			return s.cluster
		}
		s.cluster.Close()
	}
	s.cluster = redistest.StartCluster(s.t, stageRegions, redistest.WithFlags(s.flags...))
	s.cluster.PauseAll()
	return s.cluster
}

// clear empties all regions by a flush in one of them.
func (s *stage) clear() error {
	s.cluster.Heal()
	if err := s.cluster.TrySync(); err != nil {
		return err
	}
	flusher := s.cluster.Regions[0].Dial()
	defer flusher.Close()
	if reply := flusher.Do("FLUSHALL"); reply.IsError() {
		return fmt.Errorf("FLUSHALL: %s", reply.Text)
	}
	if err := s.cluster.TrySync(); err != nil {
		return err
	}
	for _, region := range s.cluster.Regions {
		c := region.Dial()
		size := c.Do("DBSIZE")
		c.Close()
		if size.Text != "0" {
			return fmt.Errorf("region %s holds %s keys after a flush and a sync", region.Name, size)
		}
	}
	return nil
}

func (s *stage) drop() {
	s.cluster.Close()
	s.cluster = nil
}

func TestScenarios(t *testing.T) {
	redistest.Slow(t)
	later := laterReasons(t)
	stages := map[string]*stage{}
	for _, scene := range load(t) {
		var flags []string
		for _, requirement := range scene.Requires {
			flags = append(flags, requirementFlags[requirement]...)
		}
		name := strings.Join(flags, " ")
		if stages[name] == nil {
			stages[name] = &stage{t: t, flags: flags}
		}
		s := stages[name]
		reason, isLater := later[scene.ID]
		delete(later, scene.ID)
		t.Run(scene.ID, func(t *testing.T) {
			err := s.perform(t, scene, !isLater)
			switch {
			case isLater && err == nil:
				t.Errorf("passes, but testdata/later.txt says %q: take it out", reason)
			case isLater:
				t.Logf("later (%s): %v", reason, err)
			case err != nil:
				t.Errorf("%s\n%v\nnote: %s\nsource: %s", scene.Topic, err, scene.Note, scene.Source)
				s.drop()
			}
		})
	}
	for id := range later {
		t.Errorf("testdata/later.txt names %s, which does not exist", id)
	}
}

// perform plays a scenario on an empty cluster; with settle, all regions must be equal afterwards.
func (s *stage) perform(t *testing.T, scene scenario, settle bool) error {
	t.Helper()
	cluster := s.ready()
	err := play(t, cluster, scene)
	if err == nil && settle {
		err = settled(t, cluster)
	}
	if t.Failed() {
		s.drop()
	}
	return err
}

// TestFlushBetweenScenariosEmptiesEveryRegion holds what the scenarios rely on, under its own name.
func TestFlushBetweenScenariosEmptiesEveryRegion(t *testing.T) {
	redistest.Slow(t)
	s := &stage{t: t}
	cluster := s.ready()
	for i, region := range cluster.Regions {
		region.Dial().Must("MSET", "shared", region.Name, fmt.Sprintf("own%d", i), "v")
	}
	if err := s.clear(); err != nil {
		t.Fatal(err)
	}
}

// settled compares everything that the regions hold, after all effects have arrived everywhere.
func settled(t *testing.T, cluster *redistest.Cluster) error {
	t.Helper()
	cluster.Heal()
	if err := cluster.TrySync(); err != nil {
		return err
	}
	first := redistest.Snapshot(t, redistest.Dial(t, cluster.Regions[0].Proxy().Addr))
	for _, region := range cluster.Regions[1:] {
		if diff := redistest.Diff(first, redistest.Snapshot(t, region.Dial()), 0, 20); diff != "" {
			return fmt.Errorf("after the scenario %s | %s differ:\n%s", cluster.Regions[0].Name, region.Name, diff)
		}
	}
	return nil
}

// laterReasons reads "id: reason" lines.
func laterReasons(t *testing.T) map[string]string {
	t.Helper()
	file, err := os.Open("testdata/later.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reasons := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, reason, ok := strings.Cut(line, ":")
		if reason = strings.TrimSpace(reason); !ok || reason == "" {
			t.Fatalf("testdata/later.txt: %q gives no reason", line)
		}
		reasons[id] = reason
	}
	return reasons
}
