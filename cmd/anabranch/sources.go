package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"
)

// maxFileBytes bounds the configuration file: a wrong path must not fill the memory.
const maxFileBytes = 1 << 20

// loadConfig reads the settings of `anabranch serve`. A flag wins over its environment variable, that over the file, and
// that over the default. An empty variable counts as not set, as deployment tools leave them.
func loadConfig(args []string, getenv func(string) string, stdout io.Writer) (config, error) {
	c := defaultConfig()
	flags := serveFlags(&c, stdout)
	if err := parseFlags(flags, args); err != nil {
		return config{}, err
	}
	if err := readEnvironment(flags, getenv); err != nil {
		return config{}, &usageError{err}
	}
	if path := flags.Lookup(configFlag).Value.String(); path != "" {
		if err := readFile(flags, path); err != nil {
			return config{}, &usageError{fmt.Errorf("--%s: %w", configFlag, err)}
		}
	}
	if err := c.validate(); err != nil {
		return config{}, &usageError{err}
	}
	return c, nil
}

func serveFlags(c *config, stdout io.Writer) *pflag.FlagSet {
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags.SortFlags = false
	c.addOptions(flags)
	flags.String(configFlag, "", "YAML file with the same names as keys; see examples/anabranch.yaml")
	flags.SetOutput(io.Discard)
	flags.Usage = func() { writeServeHelp(stdout, flags) }
	return flags
}

// parseFlags parses without positional arguments.
func parseFlags(flags *pflag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return err
		}
		var invalid *pflag.InvalidValueError
		if errors.As(err, &invalid) {
			// pflag's own text quotes the value, and the value of --redis may hold a password.
			return &usageError{fmt.Errorf("--%s: %w", invalid.GetFlag().Name, invalid.Unwrap())}
		}
		return &usageError{err}
	}
	if flags.NArg() > 0 {
		return &usageError{fmt.Errorf("unexpected argument %q", flags.Arg(0))}
	}
	return nil
}

// readEnvironment sets what no flag has set. A flag that is set here counts as changed, so the file cannot change it.
func readEnvironment(flags *pflag.FlagSet, getenv func(string) string) error {
	var first error
	flags.VisitAll(func(flag *pflag.Flag) {
		text := getenv(envName(flag.Name))
		if flag.Changed || text == "" || first != nil {
			return
		}
		if err := flag.Value.Set(text); err != nil {
			first = fmt.Errorf("%s: %w", envName(flag.Name), err)
		}
		flag.Changed = true
	})
	return first
}

// readFile sets what neither a flag nor a variable has set. Every key is checked, also those that are overruled.
func readFile(flags *pflag.FlagSet, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return err
	}
	if len(data) > maxFileBytes {
		return fmt.Errorf("%s: larger than %s", path, showBytes(maxFileBytes))
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(document.Content) == 0 {
		return nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: expected lines of the form \"key: value\"", path, root.Line)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if err := readKey(flags, key.Value, value, seen); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", path, key.Line, key.Value, err)
		}
	}
	return nil
}

func readKey(flags *pflag.FlagSet, key string, value *yaml.Node, seen map[string]bool) error {
	flag := flags.Lookup(key)
	switch {
	case flag == nil || key == configFlag:
		return errors.New("unknown key")
	case seen[key]:
		return errors.New("is there twice")
	}
	seen[key] = true
	words, err := scalars(value)
	if err != nil {
		return err
	}
	if _, list := flag.Value.(interface{ isList() }); !list && len(words) != 1 {
		return errors.New("takes one value")
	}
	if flag.Changed {
		return nil
	}
	for _, word := range words {
		if err := flag.Value.Set(word); err != nil {
			return err
		}
	}
	return nil
}

// scalars is the texts of a value or of a list of values.
func scalars(value *yaml.Node) ([]string, error) {
	nodes := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		nodes = value.Content
	}
	var words []string
	for _, node := range nodes {
		if node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
			return nil, fmt.Errorf("line %d: expected a value", node.Line)
		}
		words = append(words, strings.TrimSpace(node.Value))
	}
	return words, nil
}
