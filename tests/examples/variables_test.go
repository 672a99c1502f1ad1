package examples

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"anabranch/internal/redistest"
)

var variable = regexp.MustCompile(`\bANABRANCH_[A-Z][A-Z_]*[A-Z]\b`)

// A variable that is misspelled would not be noticed by running: programs do not look at those that they do not know.
func TestVariablesAreKnown(t *testing.T) {
	known := variable.FindAllString(output(t, nil, redistest.Binary(t, false), "serve", "--help"), -1)
	used := 0
	look := func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, name := range variable.FindAllString(string(data), -1) {
			used++
			if !slices.Contains(known, name) {
				t.Errorf("%s: %s is no variable of anabranch serve", path, name)
			}
		}
		return err
	}
	for _, root := range []string{folder, "../../Dockerfile"} {
		if err := filepath.WalkDir(root, look); err != nil {
			t.Error(err)
		}
	}
	if len(known) < 20 || used < 20 {
		t.Errorf("%d variables are known, and %d used", len(known), used)
	}
}
