package anabranch_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// files returns the tracked kinds of files below the root that end so, with slashes; ours alone.
func files(t *testing.T, endings ...string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		for _, ending := range endings {
			if strings.HasSuffix(path, ending) {
				found = append(found, filepath.ToSlash(path))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("no files that end in %q", endings)
	}
	return found
}

func text(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	notSlug = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	checked := 0
	for _, page := range files(t, ".md") {
		for _, match := range link.FindAllStringSubmatch(text(t, page), -1) {
			target := match[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			checked++
			path, anchor, _ := strings.Cut(target, "#")
			file := page
			if path != "" {
				file = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %s does not exist", page, target)
				continue
			}
			if anchor != "" && !hasHeading(text(t, file), anchor) {
				t.Errorf("%s: %s has no heading #%s", page, file, anchor)
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d links were found", checked)
	}
}

// hasHeading knows a heading by the anchor that is made of it.
func hasHeading(page, anchor string) bool {
	for _, match := range heading.FindAllStringSubmatch(page, -1) {
		name := strings.ReplaceAll(strings.ToLower(match[1]), "`", "")
		if strings.ReplaceAll(notSlug.ReplaceAllString(name, ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

var ourPath = regexp.MustCompile("[` ](?:go test \\./)?((?:scripts|examples|docs|tests|crdtmeta|internal|cmd|translate|syncer|proxy)/[\\w./-]*\\w)")

func TestFilesInDocumentsExist(t *testing.T) {
	checked := 0
	for _, page := range files(t, ".md") {
		for _, match := range ourPath.FindAllStringSubmatch(text(t, page), -1) {
			checked++
			if _, err := os.Stat(match[1]); err != nil {
				t.Errorf("%s: there is no %s", page, match[1])
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d files were found", checked)
	}
}

// A name of ours that a document tells somebody to look for, and where the names are that exist.
var named = []struct {
	what    string
	name    *regexp.Regexp
	sources []string
}{
	{"metric", regexp.MustCompile("`(anabranch_[a-z_]+[a-z])(?:\\{[^`]*)?`"), []string{"docs/metrics.md"}},
	{"field of INFO", regexp.MustCompile("`(crdt_[a-z_]+[a-z])\\d?`"), []string{"syncer", "proxy", "internal/status"}},
	{"alert", regexp.MustCompile("`(Anabranch[A-Z][A-Za-z]+)`"), []string{"examples/observability/alerts.yml"}},
	{"make target", regexp.MustCompile("(?:`|    )make ([a-z]+)"), []string{"Makefile"}},
}

func TestNamesInDocumentsExist(t *testing.T) {
	for _, kind := range named {
		var sources strings.Builder
		for _, place := range kind.sources {
			for _, file := range files(t, ".go", ".md", ".yml", "Makefile") {
				if file == place || strings.HasPrefix(file, place+"/") && !strings.HasSuffix(file, "_test.go") {
					sources.WriteString(text(t, file))
				}
			}
		}
		checked := 0
		for _, page := range files(t, ".md") {
			for _, match := range kind.name.FindAllStringSubmatch(text(t, page), -1) {
				checked++
				if !regexp.MustCompile(`\b` + match[1]).MatchString(sources.String()) {
					t.Errorf("%s: there is no %s %s", page, kind.what, match[1])
				}
			}
		}
		if checked == 0 {
			t.Errorf("no %s was found in any document", kind.what)
		}
	}
}

func TestFieldsOfInfoAreExplained(t *testing.T) {
	page := text(t, "docs/admin.md")
	fields := regexp.MustCompile(`f\.add\("(crdt_[a-z_-]+)"`).FindAllStringSubmatch(text(t, "syncer/info.go"), -1)
	if len(fields) < 30 {
		t.Fatalf("only %d fields were found", len(fields))
	}
	for _, field := range fields {
		if !regexp.MustCompile("`" + field[1] + "\\d?`").MatchString(page) {
			t.Errorf("docs/admin.md says nothing of %s", field[1])
		}
	}
}
