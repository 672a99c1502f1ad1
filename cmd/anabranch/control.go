package main

import (
	"context"
	"time"

	"anabranch/proxy"
	"anabranch/syncer"
)

// control shows the syncer to the proxy: the two never import each other, so each has words of its own for what passes
// between them.
type control struct{ *syncer.Syncer }

var _ proxy.Control = (*control)(nil)

// statesInProxy are the syncer's states in the words of CRDT PEERS. A state that is not here has no other word.
var statesInProxy = map[syncer.State]proxy.PeerState{
	syncer.StateProbe:   proxy.PeerProbe,
	syncer.StateStream:  proxy.PeerStream,
	syncer.StatePaused:  proxy.PeerPaused,
	syncer.StateRefused: proxy.PeerRefused,
}

func (c *control) Peers(ctx context.Context) ([]proxy.Peer, error) {
	_, statuses, err := c.Statuses(ctx)
	if err != nil {
		return nil, err
	}
	peers := make([]proxy.Peer, 0, len(statuses))
	for _, s := range statuses {
		peer := proxy.Peer{
			Name:       s.Name,
			ID:         s.ID,
			Addr:       s.Addr,
			State:      proxy.PeerState(s.State),
			Lag:        time.Duration(s.LagMillis) * time.Millisecond,
			LagEffects: s.LagEntries,
			Drift:      time.Duration(s.DriftMillis) * time.Millisecond,
			Connected:  s.Connected,
			LastError:  s.Trouble(),
		}
		if state, known := statesInProxy[s.State]; known {
			peer.State = state
		}
		if s.AckedTime != 0 {
			peer.AckedTime = time.UnixMilli(s.AckedTime.Millis())
		}
		peers = append(peers, peer)
	}
	return peers, nil
}

func (c *control) Members(ctx context.Context) ([]proxy.Member, error) {
	found, err := c.Syncer.Members(ctx)
	members := make([]proxy.Member, 0, len(found))
	for _, m := range found {
		members = append(members, proxy.Member(m))
	}
	return members, err
}

func (c *control) Info(ctx context.Context) ([]proxy.Field, error) {
	fields, err := c.Syncer.Info(ctx)
	return fieldsOf(fields), err
}

func (c *control) Status(ctx context.Context) ([]proxy.Field, error) {
	fields, err := c.Syncer.Status(ctx)
	return fieldsOf(fields), err
}

func (c *control) Conflicts(ctx context.Context, n int) ([]proxy.Conflict, error) {
	found, err := c.Syncer.Conflicts(ctx, n)
	conflicts := make([]proxy.Conflict, 0, len(found))
	for _, f := range found {
		conflicts = append(conflicts, proxy.Conflict{
			ID: f.ID, DB: f.DB, Key: f.Key, Element: f.Element, Type: f.Type, Rule: f.Rule,
			Winner: proxy.ConflictSide(f.Winner), Loser: proxy.ConflictSide(f.Loser), At: f.At,
		})
	}
	return conflicts, err
}

func fieldsOf(fields []syncer.Field) []proxy.Field {
	converted := make([]proxy.Field, 0, len(fields))
	for _, field := range fields {
		converted = append(converted, proxy.Field(field))
	}
	return converted
}
