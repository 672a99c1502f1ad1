package observability

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const examples = "../../examples/observability/"

// ruleFile is what Prometheus reads; what is not here is a mistake.
type ruleFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	} `yaml:"groups"`
}

type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// promtool runs Prometheus's own tool in a folder.
func promtool(t *testing.T, folder string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "promtool", args...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// metricName finds whatever could be the name of a metric of ours.
var metricName = regexp.MustCompile(`\banabranch_\w+`)

// documented are the names in docs/metrics.md, which another test compares with what is registered.
func documented(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(anabranch_\\w+)` \\| (\\w+) ").FindAllSubmatch(read(t, "../../docs/metrics.md"), -1) {
		names[string(row[1])] = true
		if string(row[2]) == "histogram" {
			for _, end := range []string{"_bucket", "_sum", "_count"} {
				names[string(row[1])+end] = true
			}
		}
	}
	if len(names) < 50 {
		t.Fatalf("docs/metrics.md has %d metrics", len(names))
	}
	return names
}

func alertRules(t *testing.T) []rule {
	t.Helper()
	var file ruleFile
	decoder := yaml.NewDecoder(bytes.NewReader(read(t, examples+"alerts.yml")))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if len(file.Groups) != 1 {
		t.Fatalf("%d groups", len(file.Groups))
	}
	return file.Groups[0].Rules
}

func TestAlertRulesAreWholeAndNameMetricsThatThereAre(t *testing.T) {
	known, operations := documented(t), string(read(t, "../../docs/operations.md"))
	seen := map[string]bool{}
	for _, r := range alertRules(t) {
		if seen[r.Alert] || !strings.HasPrefix(r.Alert, "Anabranch") {
			t.Errorf("%q: twice, or not ours", r.Alert)
		}
		seen[r.Alert] = true
		if s := r.Labels["severity"]; s != "critical" && s != "warning" && s != "info" || len(r.Labels) != 1 {
			t.Errorf("%s: labels %v", r.Alert, r.Labels)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || len(r.Annotations) != 2 {
			t.Errorf("%s: annotations %v", r.Alert, r.Annotations)
		}
		for _, name := range metricName.FindAllString(r.Expr, -1) {
			if !known[name] {
				t.Errorf("%s: there is no metric %s", r.Alert, name)
			}
		}
		if !strings.Contains(operations, "`"+r.Alert+"`") {
			t.Errorf("docs/operations.md does not say what to do about %s", r.Alert)
		}
	}
	for _, name := range regexp.MustCompile("`(Anabranch[A-Z]\\w+)`").FindAllStringSubmatch(operations, -1) {
		if !seen[name[1]] {
			t.Errorf("docs/operations.md tells of %s, which is no alert", name[1])
		}
	}
}

func TestPrometheusTakesTheConfiguration(t *testing.T) {
	promtool(t, examples, "check", "config", "prometheus.yml")
	promtool(t, examples, "check", "rules", "alerts.yml")
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	promtool(t, "testdata", "test", "rules", "alerts_test.yml")
}
