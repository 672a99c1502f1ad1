// Package anabranch_test holds the rules about the shape of the tree that no compiler knows.
package anabranch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "anabranch"

// layers is the import table: each package with those of ours that it may import. A package that is not listed may not
// exist. Tests are exempt, because they may start whole regions.
var layers = map[string][]string{
	"crdtmeta":               {},
	"crdtmeta/model":         {"crdtmeta"},
	"crdtmeta/model/history": {"crdtmeta", "crdtmeta/model"},
	"internal/resp":          {},
	"internal/redistest":     {},
	"internal/sock":          {},
	"internal/listen":        {},
	"internal/sandbox":       {},
	"internal/credentials":   {},
	"translate":              {"crdtmeta", "internal/resp"},
	"internal/acl":           {"translate"},
	"internal/registry":      {},
	"internal/passive":       {"internal/listen"},
	"internal/migration":     {"crdtmeta", "translate"},
	"haproxy":                {"internal/listen"},
	"internal/backend":       {"crdtmeta", "internal/resp", "internal/sock", "translate"},
	"proxy":                  {"crdtmeta", "internal/acl", "internal/listen", "internal/resp", "internal/sock", "translate", "internal/backend"},
	"syncer":                 {"crdtmeta", "internal/listen", "internal/resp", "translate", "internal/backend"},
	"sentinel":               {},
	"verify":                 {"crdtmeta", "internal/resp"},
	"internal/status":        {"crdtmeta", "translate", "internal/backend", "proxy", "sentinel", "syncer"},
	"internal/metrics":       {"internal/backend", "internal/status"},
	"internal/dashboard":     {"crdtmeta", "syncer", "internal/status"},
	"cmd/anabranch":          {"internal/passive", "internal/migration", "internal/status", "internal/metrics", "internal/dashboard", "verify", "haproxy", "internal/registry", "crdtmeta", "internal/credentials", "internal/resp", "translate", "internal/backend", "internal/sandbox", "proxy", "sentinel", "syncer"},
	"bench":                  {"internal/resp", "internal/sandbox"},
}

// pure lists the packages that read no clock, socket or environment, so that tests can decide all that they see.
var pure = []string{"crdtmeta", "crdtmeta/model", "translate", "internal/resp", "internal/acl"}

// names that say nothing: what lies in such a package belongs to the thing that it is about.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "manager", "pkg", "misc", "shared", "base"}

type sourceFile struct {
	path    string // relative to the root, with slashes
	folder  string
	imports []string
	syntax  *ast.File
	place   *token.FileSet
}

// sources parses every file of ours that is no test.
func sources(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	place := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "tools") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		syntax, err := parser.ParseFile(place, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		file := sourceFile{path: filepath.ToSlash(path), folder: filepath.ToSlash(filepath.Dir(path)), syntax: syntax, place: place}
		for _, spec := range syntax.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			file.imports = append(file.imports, name)
		}
		files = append(files, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no source files found; the test must run at the root of the module")
	}
	return files
}

func TestImportsPointOneWay(t *testing.T) {
	for _, file := range sources(t) {
		allowed, known := layers[file.folder]
		if strings.HasPrefix(file.folder, "tests/") {
			known = true // packages of tests, which are exempt
		}
		if !known {
			t.Errorf("%s: package %s is not in the import table of style_test.go", file.path, file.folder)
			continue
		}
		for _, name := range file.imports {
			target, ours := strings.CutPrefix(name, module+"/")
			if ours && !slices.Contains(allowed, target) && !strings.HasPrefix(file.folder, "tests/") {
				t.Errorf("%s: %s may not import %s", file.path, file.folder, target)
			}
		}
	}
}

func TestPurePackagesReadNoClockSocketOrEnvironment(t *testing.T) {
	forbidden := []string{"net", "os", "net/http", "os/exec", "os/signal", "syscall", "math/rand", "math/rand/v2", "crypto/rand"}
	// Names for durations and points in time are allowed; what asks the machine is not.
	clock := []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}
	for _, file := range sources(t) {
		if !slices.Contains(pure, file.folder) {
			continue
		}
		for _, name := range file.imports {
			if slices.Contains(forbidden, name) {
				t.Errorf("%s: %s is pure and may not import %s", file.path, file.folder, name)
			}
		}
		ast.Inspect(file.syntax, func(node ast.Node) bool {
			selector, ok := node.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if from, ok := selector.X.(*ast.Ident); ok && from.Name == "time" && slices.Contains(clock, selector.Sel.Name) {
				t.Errorf("%s: %s is pure and may not call time.%s", file.place.Position(node.Pos()), file.folder, selector.Sel.Name)
			}
			return true
		})
	}
}

func TestPackagesAreNounsAndSayWhatTheyAre(t *testing.T) {
	documented := map[string]bool{}
	for _, file := range sources(t) {
		for part := range strings.SplitSeq(file.folder, "/") {
			if slices.Contains(emptyNames, part) {
				t.Errorf("%s: a package may not be called %s", file.path, part)
			}
		}
		documented[file.folder] = documented[file.folder] || file.syntax.Doc != nil
	}
	for folder, has := range documented {
		if !has {
			t.Errorf("%s: no file opens with a package comment", folder)
		}
	}
}

func TestFilesAreOneConcept(t *testing.T) {
	const most = 500 // lines; past that a file holds two concepts
	for _, file := range sources(t) {
		if lines := file.place.File(file.syntax.Pos()).LineCount(); lines > most {
			t.Errorf("%s: %d lines, more than %d", file.path, lines, most)
		}
	}
}
