package registry

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	// sessionTTL ends the session of a proxy that hangs; Consul allows no less. One that dies, or is not ready, loses it sooner, with
	// the check that the session depends on.
	sessionTTL = 10 * time.Second
	// lockDelay is how long nobody gets the lock after a session that held it has ended.
	lockDelay = time.Second
)

// Lock is a key that one proxy of the region holds by a session. It is the syncer's Lock.
type Lock struct {
	client  *api.Client
	said    *said
	key     string
	check   string // of the peer service: without it there is no session
	holder  []byte // shown to people
	name    string // of the session
	session string // ours, or empty
}

func (r *Registry) newLock() *Lock {
	holder, err := json.Marshal(map[string]string{metaRunID: r.cfg.RunID, "addr": r.cfg.Client.String()})
	if err != nil {
		panic(err) // two strings
	}
	return &Lock{
		client: r.client, said: r.said, key: r.cfg.Source.Service + "/leader/" + r.cfg.Region,
		check: checkID(r.peer.ID), holder: holder, name: r.cfg.Source.Service + " leader of " + r.cfg.Region,
	}
}

// Take acquires the lock or keeps it, and says whether it is ours.
func (l *Lock) Take(ctx context.Context) (bool, error) {
	ours, err := l.take(ctx)
	if !notYet(err) {
		l.said.note("the leader's lock", err)
	}
	return ours, err
}

// notYet knows the errors with which Consul gives no session to a proxy that it does not know yet, or that is not ready.
func notYet(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && (strings.Contains(status.Body, "Missing check") || strings.Contains(status.Body, "critical state"))
}

func (l *Lock) take(ctx context.Context) (bool, error) {
	write := (&api.WriteOptions{}).WithContext(ctx)
	if l.session != "" {
		entry, _, err := l.client.Session().Renew(l.session, write)
		if err != nil {
			return false, err
		}
		if entry == nil {
			l.session = "" // it has ended
		}
	}
	if l.session == "" {
		id, _, err := l.client.Session().Create(&api.SessionEntry{
			Name: l.name, TTL: sessionTTL.String(), LockDelay: lockDelay, Behavior: api.SessionBehaviorRelease,
			ServiceChecks: []api.ServiceCheck{{ID: l.check}},
		}, write)
		if err != nil {
			return false, err
		}
		l.session = id
	}
	pair, _, err := l.client.KV().Get(l.key, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return false, err
	}
	if pair != nil && pair.Session != "" {
		return pair.Session == l.session, nil
	}
	ours, _, err := l.client.KV().Acquire(&api.KVPair{Key: l.key, Value: l.holder, Session: l.session}, write)
	return ours, err
}

// Drop gives the lock up, so that another proxy need not wait.
func (l *Lock) Drop(ctx context.Context) error {
	if l.session == "" {
		return nil
	}
	write := (&api.WriteOptions{}).WithContext(ctx)
	_, _, err := l.client.KV().Release(&api.KVPair{Key: l.key, Value: l.holder, Session: l.session}, write)
	if err == nil { // after a release there is no delay
		_, err = l.client.Session().Destroy(l.session, write)
	}
	l.session = ""
	return err
}
