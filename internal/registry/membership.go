package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/consul/api"
)

// Members is the membership as the region keeps it.
type Members interface {
	// Roster is the changes of the membership that are known, as a JSON list; nil for none.
	Roster() []byte
	// HearRoster takes such a list; of two changes about one region the later one counts.
	HearRoster(ctx context.Context, text []byte) error
	// RosterNews is closed when Roster answers something else.
	RosterNews() <-chan struct{}
}

// membership keeps Consul's copy and the region's equal. What is in one of them and not in the other goes there: the region decides
// which of two changes counts, by the one rule that also holds between regions.
type membership struct {
	client     *api.Client
	said       *said
	key        string
	datacentre string
	members    Members
	mu         sync.Mutex // one reconcile at a time
}

// membersDocument is the value in Consul.
type membersDocument struct {
	Version int64           `json:"version"` // one more with each change
	Regions json.RawMessage `json:"regions"`
}

// memberStamp is what of a change must be known to see whether it is news.
type memberStamp struct {
	Name string `json:"name"`
	At   int64  `json:"at"`
}

const (
	maxTries   = 8 // of a check-and-set against others who do the same
	aboutKV    = "membership in the KV store"
	aboutStore = "storing the membership"
)

var (
	errContended = errors.New("others change the membership all the time")
	errDocument  = errors.New("is not a membership")
)

// run works until ctx ends.
func (m *membership) run(ctx context.Context) {
	var tasks sync.WaitGroup // both end with ctx
	tasks.Go(func() {
		follow(ctx, m.said, aboutKV, func(asking context.Context, options *api.QueryOptions) (*api.QueryMeta, error) {
			options.Datacenter = m.datacentre
			pair, meta, err := m.client.KV().Get(m.key, options)
			if err == nil {
				err = m.reconcile(asking, pair)
			}
			return meta, err
		})
	})
	tasks.Go(func() { m.storeNews(ctx) })
	tasks.Wait()
}

// storeNews writes what the region learns otherwise.
func (m *membership) storeNews(ctx context.Context) {
	for retry := newRetry(); ctx.Err() == nil; {
		news := m.members.RosterNews()
		asking, cancel := context.WithTimeout(ctx, requestLimit)
		pair, err := m.get(asking)
		if err == nil {
			err = m.reconcile(asking, pair)
		}
		cancel()
		if ctx.Err() != nil {
			return
		}
		m.said.note(aboutStore, err)
		if err != nil {
			pause(ctx, retry.NextBackOff())
			continue
		}
		retry.Reset()
		select {
		case <-news:
		case <-ctx.Done():
		}
	}
}

func (m *membership) get(ctx context.Context) (*api.KVPair, error) {
	pair, _, err := m.client.KV().Get(m.key, (&api.QueryOptions{Datacenter: m.datacentre}).WithContext(ctx))
	return pair, err
}

// reconcile takes what Consul has, and then writes what it has not, unless somebody else was faster: then it begins anew. What could
// not be taken is not written over.
func (m *membership) reconcile(ctx context.Context, pair *api.KVPair) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range maxTries {
		var document membersDocument
		index := uint64(0) // only if the key is not there
		if pair != nil {
			if err := json.Unmarshal(pair.Value, &document); err != nil {
				return fmt.Errorf("%s %w: %w", m.key, errDocument, err)
			}
			index = pair.ModifyIndex
			if err := m.members.HearRoster(ctx, document.Regions); err != nil {
				return fmt.Errorf("%s: %w", m.key, err)
			}
		}
		ours := m.members.Roster()
		news, err := hasNews(ours, document.Regions)
		if err != nil || !news {
			return err
		}
		value, err := json.Marshal(membersDocument{Version: document.Version + 1, Regions: ours})
		if err != nil {
			return err
		}
		done, _, err := m.client.KV().CAS(&api.KVPair{Key: m.key, Value: value, ModifyIndex: index},
			(&api.WriteOptions{Datacenter: m.datacentre}).WithContext(ctx))
		if err != nil {
			return err
		}
		if done {
			m.said.log.Info().Int64("version", document.Version+1).Msg("membership stored in Consul")
			return nil
		}
		if pair, err = m.get(ctx); err != nil {
			return err
		}
	}
	return errContended
}

// hasNews says whether there is a change among ours that is not among theirs, or later. Nothing but the time of a change counts: two
// versions of this program that write other fields must not overwrite each other for ever.
func hasNews(ours, theirs []byte) (bool, error) {
	known := map[string]int64{}
	var list []memberStamp
	if len(theirs) > 0 {
		if err := json.Unmarshal(theirs, &list); err != nil {
			return false, fmt.Errorf("%w: %w", errDocument, err)
		}
	}
	for _, change := range list {
		known[change.Name] = change.At
	}
	list = nil
	if len(ours) > 0 {
		if err := json.Unmarshal(ours, &list); err != nil {
			return false, err
		}
	}
	for _, change := range list {
		if at, there := known[change.Name]; !there || at < change.At {
			return true, nil
		}
	}
	return false, nil
}
