package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// foreign are options of other programs, and variables of tests, that documents speak of.
var foreign = map[string]bool{"engine-checks": true, "appendonly": true}

var (
	helpOption = regexp.MustCompile(`(?m)^ +--([a-z-]+)`)
	inlineCode = regexp.MustCompile("`--([a-z][a-z-]+)")
	option     = regexp.MustCompile(`(?:^|\s)--([a-z][a-z-]+)`)
	variable   = regexp.MustCompile(`\bANABRANCH_([A-Z][A-Z_]*[A-Z])\b`)
	continued  = regexp.MustCompile(`\\\n\s*`)
)

// TestDocumentsNameOptionsThatExist reads all documents for options: those that stand by themselves, and those of command lines that begin
// with the program's name.
func TestDocumentsNameOptionsThatExist(t *testing.T) {
	all := map[string]bool{configFlag: true, "help": true}
	of := map[string]map[string]bool{}
	for _, sub := range subcommands() {
		var help bytes.Buffer
		_ = sub.run(context.Background(), []string{"--help"}, &help, &help)
		of[sub.name] = map[string]bool{"help": true}
		for _, match := range helpOption.FindAllStringSubmatch(help.String(), -1) {
			all[match[1]], of[sub.name][match[1]] = true, true
		}
	}
	pages := 0
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == "node_modules" || name == "bench" || len(name) > 2 && name[0] == '.') {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".md") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		pages++
		page := string(data)
		for _, match := range inlineCode.FindAllStringSubmatch(page, -1) {
			if !all[match[1]] && !foreign[match[1]] {
				t.Errorf("%s: no command has an option --%s", path, match[1])
			}
		}
		for _, match := range variable.FindAllStringSubmatch(page, -1) {
			if name := strings.ToLower(strings.ReplaceAll(match[1], "_", "-")); !of["serve"][name] && !foreign[name] && name != configFlag {
				t.Errorf("%s: no option has the variable ANABRANCH_%s", path, match[1])
			}
		}
		for line := range strings.Lines(continued.ReplaceAllString(page, " ")) {
			words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "$ "))
			if len(words) < 2 || !strings.HasSuffix(words[0], "anabranch") || of[words[1]] == nil {
				continue
			}
			line, _, _ = strings.Cut(line, " # ")
			for _, match := range option.FindAllStringSubmatch(line, -1) {
				if !of[words[1]][match[1]] {
					t.Errorf("%s: anabranch %s has no option --%s", path, words[1], match[1])
				}
			}
		}
		return nil
	})
	if err != nil || pages < 10 {
		t.Fatalf("%d documents: %v", pages, err)
	}
}
