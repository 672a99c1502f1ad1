//go:build race

package redistest

// raceEnabled makes a test that runs with the race detector run the program with it too.
const raceEnabled = true
