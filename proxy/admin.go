package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

func (s *session) whoAmI([][]byte) { s.replyBulk([]byte(defaultUser)) }

// configSet refuses the one setting that would lose the metadata that merging needs. The rest is the operator's business.
func (s *session) configSet(args [][]byte) {
	for i := 2; i+1 < len(args); i += 2 {
		if is(args[i], "MAXMEMORY-POLICY") && strings.HasPrefix(strings.ToLower(string(args[i+1])), "allkeys-") {
			s.replyError(errEvictionPolicy)
			return
		}
	}
	s.pass(0, s.silent(), 1, s.scan.Raw)
}

// info is the server's INFO with a section of ours behind it.
func (s *session) info(args [][]byte) {
	own, theirs := len(args) == 1, len(args) == 1
	command := []any{"INFO"}
	for _, section := range args[1:] {
		switch {
		case is(section, "CRDT"):
			own = true
			continue
		case is(section, "ALL"), is(section, "EVERYTHING"), is(section, "DEFAULT"):
			own = true
		}
		theirs = true
		command = append(command, string(section))
	}
	s.barrier()
	ctx, cancel := s.controlContext()
	defer cancel()
	var text strings.Builder
	if theirs {
		answer, err := s.server.cfg.Backend.Client().Do(ctx, command...).Text()
		if err != nil {
			s.replyError(controlError(err))
			return
		}
		text.WriteString(s.server.countBlocked(answer))
	}
	if own {
		if text.Len() > 0 {
			text.WriteString("\r\n")
		}
		text.WriteString(s.crdtSection(ctx))
	}
	s.replyText(text.String())
}

// countBlocked puts our number in the place of the server's, for which nobody waits.
func (s *Server) countBlocked(info string) string {
	before, after, found := strings.Cut(info, "\r\nblocked_clients:")
	_, after, ended := strings.Cut(after, "\r\n")
	if !found || !ended {
		return info
	}
	return fmt.Sprintf("%s\r\nblocked_clients:%d\r\n%s", before, s.waiters.count(), after)
}

// crdtSection never fails: INFO must answer when something is wrong more than at any other time.
func (s *session) crdtSection(ctx context.Context) string {
	var text strings.Builder
	text.WriteString("# CRDT\r\n")
	if s.server.cfg.Control == nil {
		text.WriteString("crdt_enabled:0\r\n")
		return text.String()
	}
	fields, err := s.server.cfg.Control.Info(ctx)
	if err != nil {
		fmt.Fprintf(&text, "crdt_error:%s\r\n", oneLine(err.Error()))
	}
	for _, field := range fields {
		fmt.Fprintf(&text, "%s:%s\r\n", field.Name, oneLine(field.Value))
	}
	return text.String()
}

func oneLine(text string) string { return strings.NewReplacer("\r", " ", "\n", " ").Replace(text) }

func (s *session) controlContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.server.lifetime, s.server.cfg.ControlTimeout)
}

// controlError is an error of the control plane in the form in which a client sees errors: a code, then the text.
func controlError(err error) string {
	var reply redis.Error
	if errors.As(err, &reply) {
		return reply.Error()
	}
	text := err.Error()
	if code, _, ok := strings.Cut(text, " "); ok && code == strings.ToUpper(code) && strings.ToLower(code) != code {
		return text
	}
	return "ERR " + text
}
