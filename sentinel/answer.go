package sentinel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// answer is what one Sentinel says.
type answer struct {
	id       string   // by which Sentinels know each other
	primary  string   // HOST:PORT
	epoch    uint64   // of this configuration; every fail-over has a higher one
	others   []other  // further Sentinels that it knows
	replicas []string // that are not down and may be promoted; sorted
	at       time.Time
}

type other struct{ id, addr string }

var errUnknownPrimary = errors.New("does not know a primary of this name")

// ask has one Sentinel say all that counts. The commands travel together, so that no fail-over comes between them: from the moment in
// which the new primary has its role, both its address and the new epoch are given, by the Sentinel that leads the fail-over too.
func ask(ctx context.Context, client *redis.Client, addr, name string) (answer, error) {
	pipe := client.Pipeline()
	myID := pipe.Do(ctx, "SENTINEL", "MYID")
	where := pipe.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
	primary := pipe.Do(ctx, "SENTINEL", "MASTER", name)
	others := pipe.Do(ctx, "SENTINEL", "SENTINELS", name)
	replicas := pipe.Do(ctx, "SENTINEL", "REPLICAS", name)
	_, err := pipe.Exec(ctx)
	switch failed := primary.Err(); {
	case failed != nil && strings.Contains(failed.Error(), "No such master"):
		return answer{}, errUnknownPrimary
	case err != nil && where.Val() == nil:
		return answer{}, err // the connection broke, or nobody was let in
	}
	a := answer{id: addr}
	if id, err := myID.Text(); err == nil && id != "" {
		a.id = id // Sentinels before 6.2 do not tell it
	}
	place, err := where.StringSlice()
	if err != nil || len(place) != 2 {
		return answer{}, fmt.Errorf("SENTINEL GET-MASTER-ADDR-BY-NAME: %w", orUnexpected(err))
	}
	a.primary = net.JoinHostPort(place[0], place[1])
	fields, err := fieldsOf(primary.Slice())
	if err == nil {
		a.epoch, err = strconv.ParseUint(fields["config-epoch"], 10, 64)
	}
	if err != nil {
		return answer{}, fmt.Errorf("SENTINEL MASTER: %w", err)
	}
	rows, err := rowsOf(others.Slice())
	if err != nil {
		return answer{}, fmt.Errorf("SENTINEL SENTINELS: %w", err)
	}
	for _, row := range rows {
		a.others = append(a.others, other{row["runid"], net.JoinHostPort(row["ip"], row["port"])})
	}
	if rows, err = rowsOf(replicas.Slice()); err != nil {
		return answer{}, fmt.Errorf("SENTINEL REPLICAS: %w", err)
	}
	for _, row := range rows {
		// The only replicas that are never promoted, for as long as this is so.
		down := slices.Contains(strings.Split(row["flags"], ","), "s_down")
		if !down && row["slave-priority"] != "0" {
			a.replicas = append(a.replicas, net.JoinHostPort(row["ip"], row["port"]))
		}
	}
	slices.Sort(a.replicas)
	return a, nil
}

var errUnexpected = errors.New("unexpected reply")

func orUnexpected(err error) error {
	if err == nil {
		return errUnexpected
	}
	return err
}

func rowsOf(list []any, err error) ([]map[string]string, error) {
	if err != nil {
		return nil, err
	}
	if len(list) > maxRows {
		return nil, fmt.Errorf("%w: %d rows", errUnexpected, len(list))
	}
	var rows []map[string]string
	for _, item := range list {
		flat, _ := item.([]any)
		row, err := fieldsOf(flat, nil)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// maxRows bounds what one Sentinel may list.
const maxRows = 1024

// fieldsOf reads a flat list of names and values.
func fieldsOf(flat []any, err error) (map[string]string, error) {
	if err != nil {
		return nil, err
	}
	fields := make(map[string]string, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		name, isName := flat[i].(string)
		value, isValue := flat[i+1].(string)
		if !isName || !isValue {
			return nil, errUnexpected
		}
		fields[name] = value
	}
	return fields, nil
}
