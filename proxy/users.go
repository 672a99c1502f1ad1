package proxy

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"anabranch/internal/acl"
	"anabranch/internal/backend"
)

// users is the proxy's copy of the server's users. Commands of all clients travel as one service user, so it is the proxy that
// holds each client to its rules.
type users struct {
	cfg     Config
	changed func(before, after *acl.Directory, by *session)

	current atomic.Pointer[acl.Directory] // nil until known
	denials acl.Log
	kept    atomic.Int64 // denials at most, as acllog-max-len says

	mu         sync.Mutex // one look at the server, or change, at a time; guards what is below
	server     *acl.Directory
	concealed  bool // the server does not tell its users
	vocabulary *acl.Vocabulary
	runID      string // of the server that the vocabulary is of
	said       string // the last trouble that was logged
}

const defaultKeptDenials = 128

var errNoDefaultUser = errors.New("ACL LIST shows no default user")

func newUsers(cfg Config) *users {
	u := &users{cfg: cfg}
	u.kept.Store(defaultKeptDenials)
	return u
}

// now returns the users of the moment, nil while they are not known. It is cheap.
func (u *users) now() *acl.Directory { return u.current.Load() }

func (u *users) has(name string) bool {
	directory := u.now()
	return directory != nil && directory.User(name) != nil
}

func (u *users) note(d acl.Denial) { u.denials.Add(d, int(u.kept.Load())) }

// follow looks at the server's users again and again until ctx ends.
func (u *users) follow(ctx context.Context) {
	for ctx.Err() == nil {
		if u.cfg.Backend.WaitReady(ctx) != nil {
			return
		}
		u.look(ctx)
		wait := u.cfg.UsersInterval
		if u.now() == nil {
			wait = min(wait, 50*time.Millisecond) // everybody waits for it
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (u *users) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, u.cfg.ControlTimeout)
	defer cancel()
	u.mu.Lock()
	defer u.mu.Unlock()
	err := u.refresh(ctx, nil)
	switch {
	case err == nil:
		u.said = ""
	case err.Error() != u.said && !errors.Is(err, context.Canceled):
		u.said = err.Error()
		u.cfg.Log.Warn().Err(err).Msg("the users of the server cannot be read")
	}
}

// refresh reads the users from the server. by is the session that has changed them, nil for none. The lock must be held.
func (u *users) refresh(ctx context.Context, by *session) error {
	directory, err := u.read(ctx)
	switch {
	case err == nil:
		u.concealed = false
	case u.concealed && isForbidden(err):
		return nil
	case u.server == nil && isForbidden(err):
		u.cfg.Log.Warn().Err(err).Msg("the server does not tell its users: every client is the default user, and may do everything")
		directory, err = acl.OpenDirectory(), nil
		u.concealed = true
	}
	if err != nil || directory == u.server {
		return err
	}
	u.learn(directory, by)
	return nil
}

// learn puts other users in force.
func (u *users) learn(directory *acl.Directory, by *session) {
	u.server = directory
	name, _ := u.cfg.Backend.ServiceUser()
	if user := directory.OnServer(name); user == nil || !user.Unlimited() {
		u.cfg.Log.Warn().Str("user", name).Msg("the user that Anabranch logs in as needs all rights: ~* &* +@all")
	}
	after := directory.WithPassword(u.cfg.Password)
	if before := u.current.Swap(after); before != nil {
		u.changed(before, after, by)
	}
}

// isForbidden tells a server that will never tell its users to this one.
func isForbidden(err error) bool {
	return backend.IsReply(err) && (strings.HasPrefix(err.Error(), "NOPERM") || strings.HasPrefix(err.Error(), "ERR unknown command"))
}

func (u *users) read(ctx context.Context) (*acl.Directory, error) {
	client := u.cfg.Backend.Client()
	if runID := u.cfg.Backend.Server().RunID; u.vocabulary == nil || runID != u.runID {
		commands, err := client.Do(ctx, "COMMAND").Slice()
		if err != nil {
			return nil, err
		}
		u.vocabulary, u.runID = acl.NewVocabulary(acl.ReadCommands(commands)), runID
	}
	pipe := client.Pipeline()
	list := pipe.Do(ctx, "ACL", "LIST")
	kept := pipe.ConfigGet(ctx, "acllog-max-len")
	if _, err := pipe.Exec(ctx); err != nil && list.Err() != nil {
		return nil, list.Err()
	}
	if n, err := strconv.ParseInt(kept.Val()["acllog-max-len"], 10, 64); err == nil { // CONFIG may be forbidden
		u.kept.Store(n)
	}
	lines, err := list.StringSlice()
	if err != nil {
		return nil, err
	}
	directory, confused := acl.ReadDirectory(u.vocabulary, lines, u.server)
	for _, err := range confused {
		u.cfg.Log.Warn().Err(err).Msg("a rule is not understood: the user may do nothing")
	}
	if directory.Default() == nil {
		return nil, errNoDefaultUser
	}
	return directory, nil
}

// refuseRules returns the error for a change of rules that would take from the user that the proxy itself logs in as anything that
// it has. Everything else is the server's business.
func (u *users) refuseRules(name string, rules []string) string {
	service, password := u.cfg.Backend.ServiceUser()
	directory := u.now()
	if name != service || directory == nil || directory.OnServer(name) == nil {
		return ""
	}
	before := directory.OnServer(name)
	after, err := before.With(rules)
	switch {
	case err != nil:
		return "ERR " + err.Error()
	case !after.Accepts([]byte(password)) || password == "" && !after.OpenToAll() || !after.Covers(before):
		return fmt.Sprintf(errServiceUser, name)
	}
	return ""
}

// refusePassword is refuseRules for CONFIG SET requirepass.
func (u *users) refusePassword(password string) string {
	if password == "" {
		return u.refuseRules(acl.DefaultUser, []string{"nopass"})
	}
	return u.refuseRules(acl.DefaultUser, []string{"resetpass", ">" + password})
}

// usersChanged ends the sessions whose user is no more, and those of subscribers whose user has lost the right to what they
// have subscribed to. The one that made the change has its answer first.
func (s *Server) usersChanged(before, after *acl.Directory, by *session) {
	for _, client := range s.snapshot() {
		v := client.view.Load()
		was, now := before.User(v.user), after.User(v.user)
		switch {
		case now == was:
		case now == nil && client != by,
			now != nil && was != nil && v.subscribed() && now.LosesChannels(was) && !client.subs.allowedTo(now):
			client.out.Break()
		}
	}
}
