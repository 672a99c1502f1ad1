package proxy

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"anabranch/internal/acl"
	"anabranch/internal/backend"
	"anabranch/internal/resp"
)

const (
	defaultDenials = 10 // ACL LOG without a number
	retryPause     = 10 * time.Millisecond
)

func (s *session) aclWhoAmI([][]byte) { s.replyBulk([]byte(s.userName())) }

// aclSetUser is ACL SETUSER name rule….
func (s *session) aclSetUser(args [][]byte) {
	rules := make([]string, 0, len(args)-3)
	for _, rule := range args[3:] {
		rules = append(rules, string(rule))
	}
	if refusal := s.server.users.refuseRules(string(args[2]), rules); refusal != "" {
		s.replyError(refusal)
		return
	}
	s.changeUsers(args)
}

// aclDelUser is ACL DELUSER name…. That the default user cannot be removed is Redis's own rule.
func (s *session) aclDelUser(args [][]byte) {
	service, _ := s.server.cfg.Backend.ServiceUser()
	for _, name := range args[2:] {
		if string(name) == service && service != acl.DefaultUser {
			s.replyError(fmt.Sprintf(errServiceUser, service))
			return
		}
	}
	s.changeUsers(args)
}

// aclLoad is ACL LOAD. As in Redis it ends the connections of all but the default user, of the proxy too if it is another one.
func (s *session) aclLoad(args [][]byte) {
	if !s.changeUsers(args) {
		return
	}
	for _, client := range s.server.snapshot() {
		if client != s && client.view.Load().user != acl.DefaultUser {
			client.out.Break()
		}
	}
	s.ending = s.ending || s.userName() != acl.DefaultUser
}

// changeUsers has the server execute a command that changes users, and answers it when the change is in force here. It reports
// whether the server has done it.
func (s *session) changeUsers(args [][]byte) bool {
	s.barrier()
	ctx, cancel := s.controlContext()
	defer cancel()
	reply, err := s.server.users.change(ctx, s, args)
	switch reply := reply.(type) {
	case int64:
		s.replyInt(reply)
	case string:
		s.replySimple(reply)
	default:
		s.replyError(controlError(err))
		return false
	}
	s.adopt()
	return true
}

// change executes a command that changes users and learns the result. No other look at the users comes between, so that a
// client that removes itself still has its answer.
func (u *users) change(ctx context.Context, by *session, args [][]byte) (any, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	conn, err := u.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reply, err := conn.Do(ctx, anyArgs(args)...).Result()
	if err != nil {
		return nil, err
	}
	if service, _ := u.cfg.Backend.ServiceUser(); is(args[1], "LOAD") && service != acl.DefaultUser {
		u.cfg.Backend.Reconnect() // the server has cut all connections but those of the default user
	}
	for {
		err := u.refresh(ctx, by)
		if err == nil || backend.IsReply(err) || ctx.Err() != nil {
			return reply, nil // if it did not succeed, the next look makes up for it
		}
		time.Sleep(retryPause)
	}
}

// connect finds a connection that works: those in the pool may have been cut, and what is sent on one of them could not be sent again.
func (u *users) connect(ctx context.Context) (*redis.Conn, error) {
	for {
		conn := u.cfg.Backend.Client().Conn()
		err := conn.Ping(ctx).Err()
		if err == nil {
			return conn, nil
		}
		conn.Close()
		if backend.IsReply(err) || ctx.Err() != nil {
			return nil, err
		}
		time.Sleep(retryPause)
	}
}

// aclLog is ACL LOG [count | RESET]: what this proxy has denied.
func (s *session) aclLog(args [][]byte) {
	count := int64(defaultDenials)
	switch {
	case len(args) > 3:
		s.replyError(fmt.Sprintf(errSyntaxHelp, args[1]))
		return
	case len(args) == 3 && is(args[2], "RESET"):
		s.server.users.denials.Reset()
		s.replyOK()
		return
	case len(args) == 3:
		var ok bool
		if count, ok = integer(args[2]); !ok {
			s.replyError(errNotInteger)
			return
		}
	}
	denials := s.server.users.denials.Newest(int(max(0, count)))
	now := time.Now()
	out := resp.AppendArray(nil, len(denials))
	for _, d := range denials {
		out = resp.AppendMap(out, 7, s.proto)
		out = resp.AppendBulkString(out, "count")
		out = resp.AppendInt(out, d.Count)
		for _, field := range [][2]string{
			{"reason", d.Reason.String()}, {"context", d.Context}, {"object", d.Object}, {"username", d.Username},
		} {
			out = resp.AppendBulkString(out, field[0])
			out = resp.AppendBulkString(out, field[1])
		}
		out = resp.AppendBulkString(out, "age-seconds")
		out = resp.AppendDouble(out, float64(now.Sub(d.At).Milliseconds())/1000, s.proto)
		out = resp.AppendBulkString(out, "client-info")
		out = resp.AppendBulkString(out, d.Client)
	}
	s.reply(out)
}
