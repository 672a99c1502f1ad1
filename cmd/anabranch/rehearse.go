package main

import (
	"context"
	"time"

	"anabranch/internal/backend"
	"anabranch/internal/dashboard"
	"anabranch/internal/migration"
	"anabranch/proxy"
	"anabranch/syncer"
	"anabranch/translate"
)

// newMigration wires what the migration report shows to where it comes from.
func (s *service) newMigration() *migration.Source {
	c := s.config
	m := &migration.Source{
		Mode: c.Mode, Region: c.Region, RunID: s.runID, StartedAt: time.Now(), Redis: s.backend.Client(), Prefix: c.Prefix,
		Own: backend.LaneName, PassiveName: syncer.PassiveName,
		Tally: migration.NewTally(translate.New(c.Prefix), proxy.KeptParameter), Meter: migration.NewMeter(s.backend.Client(), true), Storage: s.storage,
	}
	if c.Mode == modeShadow {
		m.Rehearsal = migration.NewRehearsal(migration.RehearsalConfig{
			Region: c.Region, Window: c.ShadowWindow, Redis: s.backend.Client(), Prefix: c.Prefix,
			Keys: c.conflictDetail() != dashboard.Rules,
		})
	}
	return m
}

// storage is what the leader has published of it.
func (s *service) storage(ctx context.Context) (migration.Storage, error) {
	seen, err := s.syncer.Observe(ctx)
	own := seen.Own
	storage := migration.Storage{
		Companions: own.Companions(), CompanionBytes: own.CompanionBytes, LogBytes: own.LogBytes, LogLimit: own.LogLimit,
		UsedBytes: own.MemoryUsed, LimitBytes: own.MemoryLimit,
	}
	for _, database := range own.Databases {
		storage.Keys += database.Keys
	}
	return storage, err
}
