package observability

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// dashboard is what of Grafana's format is used; what is not here is a mistake.
type dashboard struct {
	Title         string         `json:"title"`
	UID           string         `json:"uid"`
	Description   string         `json:"description"`
	Tags          []string       `json:"tags"`
	Timezone      string         `json:"timezone"`
	Editable      bool           `json:"editable"`
	GraphTooltip  int            `json:"graphTooltip"`
	Refresh       string         `json:"refresh"`
	SchemaVersion int            `json:"schemaVersion"`
	Version       int            `json:"version"`
	Time          map[string]any `json:"time"`
	Links         []any          `json:"links"`
	Templating    struct {
		List []struct {
			Name       string         `json:"name"`
			Label      string         `json:"label"`
			Type       string         `json:"type"`
			Query      any            `json:"query"`
			Definition string         `json:"definition"`
			Datasource map[string]any `json:"datasource"`
			Hide       int            `json:"hide"`
			IncludeAll bool           `json:"includeAll"`
			Multi      bool           `json:"multi"`
			Refresh    int            `json:"refresh"`
			Sort       int            `json:"sort"`
			AllValue   string         `json:"allValue"`
			Current    map[string]any `json:"current"`
		} `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []struct {
			Name        string         `json:"name"`
			Datasource  map[string]any `json:"datasource"`
			Enable      bool           `json:"enable"`
			IconColor   string         `json:"iconColor"`
			Expr        string         `json:"expr"`
			TitleFormat string         `json:"titleFormat"`
		} `json:"list"`
	} `json:"annotations"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID          int            `json:"id"`
	Type        string         `json:"type"`
	Title       string         `json:"title"`
	Description string         `json:"description"`
	Collapsed   bool           `json:"collapsed"`
	Panels      []panel        `json:"panels"`
	Datasource  map[string]any `json:"datasource"`
	GridPos     struct{ H, W, X, Y int }
	FieldConfig map[string]any `json:"fieldConfig"`
	Options     map[string]any `json:"options"`
	Targets     []struct {
		Datasource   map[string]any `json:"datasource"`
		EditorMode   string         `json:"editorMode"`
		Expr         string         `json:"expr"`
		LegendFormat string         `json:"legendFormat"`
		Range        bool           `json:"range"`
		Instant      bool           `json:"instant"`
		RefID        string         `json:"refId"`
	} `json:"targets"`
}

func grafana(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	decoder := json.NewDecoder(bytes.NewReader(read(t, examples+"grafana-dashboard.json")))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d
}

// expressions are all that the dashboard asks Prometheus, with Grafana's variables filled in.
func (d dashboard) expressions() (all []string) {
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	for _, a := range d.Annotations.List {
		all = append(all, a.Expr)
	}
	for i := range all {
		all[i] = strings.NewReplacer("$__rate_interval", "5m", "$region", "A").Replace(all[i])
	}
	return all
}

func TestGrafanaDashboardIsLaidOut(t *testing.T) {
	d := grafana(t)
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q: its id is used twice, or it has no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type != "row" && (len(p.Targets) == 0 || p.Description == "" || p.Datasource["uid"] != "${datasource}") {
			t.Errorf("%s: it asks nothing, says nothing, or asks another source", p.Title)
		}
		if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W == 0 || p.GridPos.H == 0 {
			t.Errorf("%s lies at %+v", p.Title, p.GridPos)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := taken[at]; other != "" {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
	}
}

func TestGrafanaDashboardAsksForMetricsThatThereAre(t *testing.T) {
	known := documented(t)
	var named []string
	for _, expr := range grafana(t).expressions() {
		if strings.Contains(expr, "$") {
			t.Errorf("%s: a variable that nobody fills in", expr)
		}
		for _, name := range metricName.FindAllString(expr, -1) {
			named = append(named, name)
			if !known[name] {
				t.Errorf("%s: there is no metric %s", expr, name)
			}
		}
	}
	slices.Sort(named)
	if n := len(slices.Compact(named)); n < 20 {
		t.Errorf("only %d metrics are shown", n)
	}
}

// TestPrometheusUnderstandsWhatGrafanaAsks has each expression parsed by Prometheus itself, as a rule.
func TestPrometheusUnderstandsWhatGrafanaAsks(t *testing.T) {
	type recording struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var rules []recording
	for i, expr := range grafana(t).expressions() {
		rules = append(rules, recording{fmt.Sprintf("grafana:%d", i), expr})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "grafana", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "rules.yml"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	promtool(t, folder, "check", "rules", "rules.yml")
}
