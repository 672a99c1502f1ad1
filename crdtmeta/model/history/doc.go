// Package history generates random commands for tests of the merge rules: few keys, few elements and few values, so
// that regions meet on the same cell all the time, and keys that are used with more than one type.
//
// It draws with pgregory.net/rapid, so a failing history shrinks and can be replayed. It executes nothing.
package history
