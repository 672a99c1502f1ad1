package backend

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/redis/go-redis/v9"

	"anabranch/crdtmeta"
)

// watch checks the server again and again and keeps the state of readiness.
func (b *Backend) watch(ctx context.Context) error {
	policy := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(b.cfg.HealthInterval),
		backoff.WithMaxElapsedTime(0),
	)
	var said string
	var last *tenure
	for ctx.Err() == nil {
		err := b.check(ctx)
		b.keepFinding(err)
		if now := b.currentTenure(); now != last {
			last = now
			policy.Reset() // it is another server
		}
		wait := b.cfg.HealthInterval
		switch {
		case err == nil, b.Ready() && isBusy(err):
			b.setReady(true)
			policy.Reset()
			said = ""
		case ctx.Err() != nil:
			return nil
		case isHopeless(err) && b.lastReady.Load() == 0:
			return err
		default:
			b.setReady(false)
			wait = policy.NextBackOff()
			if err.Error() != said {
				said = err.Error()
				b.cfg.Log.Warn().Err(err).Msg("backend is not ready")
			}
		}
		select {
		case <-ctx.Done():
		case <-b.suspicions:
		case <-time.After(wait):
		}
	}
	return nil
}

// isBusy knows the error of a server that runs a script for long. It is alive.
func isBusy(err error) bool { return strings.Contains(err.Error(), "BUSY ") }

// nearlyFull is the part of maxmemory from which on the server is asked whether it would refuse a command.
const nearlyFull = 0.9

// Strained reports whether the server may be out of memory, or busy with a script: Refusal tells.
func (b *Backend) Strained() bool { return b.strained.Load() || b.RunsScripts() }

// Strain says that memory may have become short, until the next check of the server tells.
func (b *Backend) Strain() { b.strained.Store(true) }

// Refusal asks the server whether it would queue a command now, and returns its error if not, without the leading "-".
func (b *Backend) Refusal(ctx context.Context) string {
	err := b.client.Do(ctx, "SETRANGE", b.cfg.Prefix+scratchKey, 0, "").Err()
	if err != nil && (strings.HasPrefix(err.Error(), "OOM ") || isBusy(err)) {
		return err.Error()
	}
	return ""
}

// heldKey is where the engine keeps why it takes no writes (docs/engine.md, section 2).
const heldKey = "held"

// Held is the error with which the engine refused writes when the server was last looked at, without the leading "-"; empty if it did not.
func (b *Backend) Held() string {
	if why := b.held.Load(); why != nil && *why != "" {
		return "CRDTHELD " + *why
	}
	return ""
}

// isHopeless tells what waiting does not change.
func isHopeless(err error) bool {
	return errors.Is(err, ErrNoFunctions) || errors.Is(err, ErrEvictionPolicy) || errors.Is(err, ErrWrongRegion) || errors.Is(err, ErrFormat)
}

func (b *Backend) setReady(ready bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.isReady.Swap(ready)
	if ready {
		b.lastReady.Store(time.Now().UnixMilli())
	}
	switch {
	case ready && !was:
		b.cfg.Log.Info().Str("version", b.server.Version).Str("origin", b.server.Origin).Msg("backend is ready")
		close(b.ready)
	case !ready && was:
		b.ready = make(chan struct{})
	}
}

// check looks whether the server is the primary that we armed, and takes over if it is another one.
func (b *Backend) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.DialTimeout)
	defer cancel()
	primary, err := b.follow()
	if err != nil {
		return err
	}
	now, replication, err := b.identify(ctx)
	if err != nil {
		if errors.Is(err, ErrNotPrimary) && b.Ready() {
			b.Reconnect() // its connections would serve stale reads
		}
		return err
	}
	if err := b.fence(primary, replication, time.Now()); err != nil {
		return err
	}
	b.watchPolicy(now.Policy)
	known := b.Server()
	if b.lastReady.Load() != 0 && now.RunID == known.RunID && now.ReplicationID == known.ReplicationID {
		return nil
	}
	return b.Arm(ctx)
}

// Arm prepares the primary of the moment: it checks that it can be used, sees to it that the engine is there, and arms it. It may be called at any time, and does no harm when all that is done already.
func (b *Backend) Arm(ctx context.Context) error {
	b.arming.Lock()
	defer b.arming.Unlock()
	server, _, err := b.identify(ctx)
	if err != nil {
		return err
	}
	if err := b.checkPolicy(ctx, server.Policy); err != nil {
		return err
	}
	server.Databases = b.countDatabases(ctx)
	if err := b.load(ctx, server.RunID); err != nil {
		return err
	}
	if server.Origin, err = b.arm(ctx, server); err != nil {
		return err
	}
	if err := b.ShareFunctions(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server.Origin != server.Origin {
		b.cfg.Log.Info().Str("origin", server.Origin).Str("run_id", server.RunID).Msg("engine armed")
	}
	b.server = server
	return nil
}

// armSoon arms the engine without anybody waiting for it.
func (b *Backend) armSoon() {
	b.goroutine.Go(func() { // ends with its calls
		ctx, cancel := context.WithTimeout(b.lifetime, b.cfg.Hold)
		defer cancel()
		if err := b.Arm(ctx); err != nil {
			b.Suspect()
		}
	})
}

// identify asks the server who it is. Only a primary has an answer. The text is that part of its INFO which is about replication.
func (b *Backend) identify(ctx context.Context) (server Server, replicationInfo string, err error) {
	pipe := b.probe.Pipeline()
	general, replication, memory := pipe.Info(ctx, "server"), pipe.Info(ctx, "replication"), pipe.Info(ctx, "memory")
	held := pipe.MGet(ctx, b.cfg.Prefix+heldKey)
	if _, err := pipe.Exec(ctx); err != nil {
		return Server{}, "", fmt.Errorf("INFO: %w", err)
	}
	if role := infoField(replication.Val(), "role"); role != "master" {
		return Server{}, "", fmt.Errorf("%w (role:%s)", ErrNotPrimary, role)
	}
	used, _ := strconv.ParseFloat(infoField(memory.Val(), "used_memory"), 64)
	limit, _ := strconv.ParseFloat(infoField(memory.Val(), "maxmemory"), 64)
	b.strained.Store(limit > 0 && used > limit*nearlyFull)
	why, _ := held.Val()[0].(string)
	b.held.Store(&why)
	return Server{
		Version:       infoField(general.Val(), "redis_version"),
		RunID:         infoField(general.Val(), "run_id"),
		ReplicationID: infoField(replication.Val(), "master_replid"),
		Policy:        infoField(memory.Val(), "maxmemory_policy"),
	}, replication.Val(), nil
}

func infoField(text, name string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimRight(value, "\r\n")
		}
	}
	return ""
}

func (b *Backend) countDatabases(ctx context.Context) int {
	answer, err := b.client.ConfigGet(ctx, "databases").Result()
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(answer["databases"])
	return n
}

// HasDatabase asks whether a database can be selected.
func (b *Backend) HasDatabase(ctx context.Context, db int) (bool, error) {
	if db == 0 {
		return true, nil
	}
	if n := b.Server().Databases; n > 0 {
		return db > 0 && db < n, nil
	}
	conn := b.client.Conn()
	defer conn.Close()
	pipe := conn.Pipeline()
	chosen := pipe.Do(ctx, "SELECT", db)
	pipe.Do(ctx, "SELECT", 0) // the connection goes back to the pool
	if _, err := pipe.Exec(ctx); err != nil && !IsReply(err) {
		return false, err
	}
	return chosen.Err() == nil, nil
}

// load makes sure that the server has the engine. One of another build is replaced when this proxy first meets the server, and not
// again: while a region is upgraded, proxies of two versions would put their own in each other's place for ever. Which of them is
// there does not matter to data and proxies, as the library's name stands for the formats.
func (b *Backend) load(ctx context.Context, runID string) error {
	libraries, err := b.client.FunctionList(ctx, redis.FunctionListQuery{LibraryNamePattern: crdtmeta.LibraryName, WithCode: true}).Result()
	if err != nil {
		if IsReply(err) && strings.Contains(err.Error(), "unknown command") {
			return ErrNoFunctions
		}
		return fmt.Errorf("FUNCTION LIST: %w", err)
	}
	if len(libraries) == 1 && (libraries[0].Code == b.library || b.loadedOn == runID) {
		b.loadedOn = runID
		return nil
	}
	if err := b.client.FunctionLoadReplace(ctx, b.library).Err(); err != nil {
		return fmt.Errorf("FUNCTION LOAD: %w", err)
	}
	b.loadedOn = runID
	b.cfg.Log.Info().Str("library", crdtmeta.LibraryName).Msg("engine loaded")
	return nil
}

func (b *Backend) arm(ctx context.Context, server Server) (origin string, err error) {
	var random [3]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	ledger := "values"
	if b.cfg.HideConflictValues {
		ledger = "hidden"
	}
	epochs, _ := b.client.HLen(ctx, b.cfg.Prefix+"epochs").Result()
	origin, err = b.client.Do(ctx, "FCALL", crdtmeta.FuncArm, 0, b.cfg.RegionID, b.cfg.RegionName, b.cfg.Shard,
		hex.EncodeToString(random[:]), server.RunID, server.ReplicationID, b.cfg.XAddIDs, ledger, b.cfg.trustMillis(), b.cfg.CopyOf).Text()
	if err != nil {
		if strings.HasPrefix(err.Error(), "CRDTREGION") {
			return "", fmt.Errorf("%w: %s", ErrWrongRegion, err)
		}
		if strings.HasPrefix(err.Error(), "CRDTFORMAT") {
			return "", fmt.Errorf("%w: %s", ErrFormat, err)
		}
		return "", fmt.Errorf("%s: %w", crdtmeta.FuncArm, err)
	}
	if now, err := b.client.HLen(ctx, b.cfg.Prefix+"epochs").Result(); err == nil && epochs > 0 && now > epochs {
		b.rewriteAOF(ctx)
	}
	return origin, nil
}

// rewriteAOF has a server with an append-only file write it anew after a restart. When Redis was killed while it wrote a
// transaction, it drops the torn end as it loads, but leaves MULTI and the commands before the tear in the file (seen on
// 7.0.15): at the next load they would run in front of whatever was written since, without the metadata that went with them.
func (b *Backend) rewriteAOF(ctx context.Context) {
	info, err := b.client.Info(ctx, "persistence").Result()
	if err != nil || infoField(info, "aof_enabled") != "1" {
		return
	}
	if err := b.client.BgRewriteAOF(ctx).Err(); err != nil {
		b.cfg.Log.Warn().Err(err).Msg("BGREWRITEAOF after a restart failed: should Redis be killed again, part of a torn write may come back")
	}
}

// IsReply tells an error that the server answered from one of the way there.
func IsReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}
