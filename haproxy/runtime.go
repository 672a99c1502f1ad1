package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Runtime is HAProxy's runtime socket. Each call is a connection of its own, as HAProxy closes it after the answer.
type Runtime struct {
	// Socket is the path of a UNIX socket with `level admin`.
	Socket string
}

const (
	runtimeLimit   = 5 * time.Second
	maxAnswerBytes = 16 << 20
)

var (
	// ErrAnswer says that HAProxy has answered something unexpected: it did not do what it was told.
	ErrAnswer = errors.New("HAProxy answers")
)

// Ask sends one command and returns the whole answer.
func (r Runtime) Ask(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, runtimeLimit)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", r.Socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxAnswerBytes))
	return strings.TrimSpace(string(answer)), err
}

// Do sends commands one by one, and ends at the first that HAProxy does not carry out: it has no error codes, but says nothing, or
// what has changed, when all is well.
func (r Runtime) Do(ctx context.Context, commands ...string) error {
	for _, command := range commands {
		answer, err := r.Ask(ctx, command)
		if err != nil {
			return err
		}
		if answer != "" && !strings.Contains(answer, "changed") && !strings.Contains(answer, "no need to change") {
			return fmt.Errorf("%w %q to %q", ErrAnswer, answer, command)
		}
	}
	return nil
}

// slot is a server of HAProxy, as it is now.
type slot struct {
	name     string
	region   string
	host     string
	port     int
	admin    int  // port of its health check
	agent    int  // port of its agent check
	up       bool // also when it warms up, or stops softly
	maint    bool // nothing is sent to it, and it is not checked
	drain    bool // no new clients
	agentOn  bool // its agent is asked
	sessions int  // clients that it has now
}

// free says that nobody has the slot.
func (s slot) free() bool { return s.maint && s.host == freeHost && s.port == freePort }

// The bits of HAProxy's state file, version 1.
const (
	stateStopped  = 0
	adminMaint    = 0x01 | 0x02 | 0x20
	adminDrain    = 0x08
	checkEnabled  = 0x04
	serverStates  = "show servers state " + Backend
	serverTraffic = "show stat " + Backend + " 4 -1"
)

// slots reads all servers of the backend, in HAProxy's order.
func (r Runtime) slots(ctx context.Context) ([]slot, error) {
	states, err := r.Ask(ctx, serverStates)
	if err != nil {
		return nil, err
	}
	traffic, err := r.Ask(ctx, serverTraffic)
	if err != nil {
		return nil, err
	}
	return parseSlots(states, traffic)
}

// parseSlots reads both tables by the names of their columns, as other versions have others.
func parseSlots(states, traffic string) ([]slot, error) {
	sessions := map[string]int{}
	for _, row := range table(traffic, ",") {
		sessions[row["svname"]], _ = strconv.Atoi(row["scur"])
	}
	version, rest, _ := strings.Cut(states, "\n")
	if strings.TrimSpace(version) != "1" {
		return nil, fmt.Errorf("%w %q to %q", ErrAnswer, firstLine(states), serverStates)
	}
	var list []slot
	for _, row := range table(rest, " ") {
		region, ours := regionOfSlot(row["srv_name"])
		if !ours {
			continue
		}
		number := func(column string) int {
			n, _ := strconv.Atoi(row[column])
			return n
		}
		list = append(list, slot{
			name: row["srv_name"], region: region, host: row["srv_addr"], port: number("srv_port"),
			admin: number("srv_check_port"), agent: number("srv_agent_port"),
			up:    number("srv_op_state") != stateStopped,
			maint: number("srv_admin_state")&adminMaint != 0, drain: number("srv_admin_state")&adminDrain != 0,
			agentOn: number("srv_agent_state")&checkEnabled != 0, sessions: sessions[row["srv_name"]],
		})
	}
	return list, nil
}

// table reads lines below a heading that begins with #.
func table(text, separator string) (rows []map[string]string) {
	var columns []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if heading, is := strings.CutPrefix(line, "# "); is {
			columns = strings.Split(heading, separator)
			continue
		}
		fields := strings.Split(line, separator)
		if line == "" || len(fields) < 2 {
			continue
		}
		row := make(map[string]string, len(columns))
		for i, column := range columns[:min(len(columns), len(fields))] {
			row[column] = fields[i]
		}
		rows = append(rows, row)
	}
	return rows
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line[:min(len(line), 200)]
}
