package redistest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// streamFields finds the one field of each entry in [["id" ["field" "value"]] …].
var streamFields = regexp.MustCompile(`\["([^"]*)" "[^"]*"\]`)

// Cells takes a keyspace apart: "key" for a string, "key/element" for what a collection holds, each with its value; of a
// stream the first field of each entry is the element. Keys of other databases than 0 are "db:key". Whoever asks has
// written neither blanks nor equals signs into its elements. HyperLogLogs are left out.
func (k Keyspace) Cells() map[string]string {
	cells := map[string]string{}
	for name, entry := range k {
		key := strings.TrimPrefix(name, "0:")
		switch entry.Type {
		case "string":
			if strings.HasPrefix(entry.Value, `"`) {
				cells[key] = unquote(entry.Value)
			}
		case "set", "list":
			for _, member := range entry.Elements() {
				cells[key+"/"+member] = ""
			}
		case "stream":
			for _, match := range streamFields.FindAllStringSubmatch(entry.Value, -1) {
				cells[key+"/"+match[1]] = ""
			}
		case "hash", "zset":
			for _, pair := range strings.Fields(entry.Value) {
				element, value, _ := strings.Cut(pair, "=")
				cells[key+"/"+unquote(element)] = unquote(value)
			}
		}
	}
	return cells
}

// Elements is the members of a set or list, as the entry has them in order.
func (e Entry) Elements() []string {
	elements := strings.Fields(strings.Trim(e.Value, "[]"))
	for i, element := range elements {
		elements[i] = unquote(element)
	}
	return elements
}

// unquote undoes %q.
func unquote(text string) string {
	plain, err := strconv.Unquote(text)
	if err != nil {
		panic(fmt.Sprintf("the snapshot holds %s: %v", text, err))
	}
	return plain
}
