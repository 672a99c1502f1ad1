package proxy

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"anabranch/internal/backend"
	"anabranch/internal/resp"
)

const defaultConflicts = 10 // CRDT CONFLICTS without a number

// control gives the Control and a context for one call, or answers the command when there is none.
func (s *session) control() (Control, context.Context, context.CancelFunc) {
	if s.server.cfg.Control == nil {
		s.replyError(errNoControl)
		return nil, nil, nil
	}
	s.barrier()
	ctx, cancel := s.controlContext()
	return s.server.cfg.Control, ctx, cancel
}

func (s *session) crdtPause(args [][]byte)  { s.switchRegion(args[2], Control.Pause) }
func (s *session) crdtResume(args [][]byte) { s.switchRegion(args[2], Control.Resume) }

func (s *session) switchRegion(region []byte, do func(Control, context.Context, string) error) {
	control, ctx, cancel := s.control()
	if control == nil {
		return
	}
	defer cancel()
	name := string(region)
	if is(region, AllRegions) {
		name = AllRegions
	}
	if err := do(control, ctx, name); err != nil {
		s.replyError(controlError(err))
		return
	}
	s.replyOK()
}

// crdtWait is CRDT WAIT regions timeout-ms. It runs when everything that this connection wrote has been executed, so
// the region's log holds it.
func (s *session) crdtWait(args [][]byte) {
	regions, refusal := integer32(args[2])
	if refusal == "" && regions < 0 {
		refusal = errNotInteger
	}
	if refusal != "" {
		s.replyError(refusal)
		return
	}
	millis, ok := integer(args[3])
	switch {
	case !ok, millis > math.MaxInt64/int64(time.Millisecond):
		s.replyError(errTimeoutInteger)
		return
	case millis < 0:
		s.replyError(errTimeoutSign)
		return
	case s.server.cfg.Control == nil:
		s.replyError(errNoControl)
		return
	}
	s.barrier()
	var reached int
	err := s.wait(func(ctx context.Context) (err error) {
		reached, err = s.server.cfg.Control.Wait(ctx, regions, time.Duration(millis)*time.Millisecond)
		return err
	})
	if err != nil {
		s.replyError(controlError(err))
		return
	}
	s.replyInt(int64(reached))
}

// crdtExplain asks the engine, which alone can read companions in one step with the data.
func (s *session) crdtExplain(args [][]byte) {
	op := resp.AppendBulkString(nil, "XCRDT.EXPLAIN")
	op = resp.AppendBulk(op, args[2])
	s.ops = append(s.ops, backend.Op{Kind: backend.OpFree, Discard: s.silent(), Argc: 2, Count: 1, Bytes: op})
}

// crdtDigest asks the engine what regions are compared by. It shares its call with no write, which would wait for it.
func (s *session) crdtDigest(args [][]byte) { s.askAlone(backend.OpFree, "XCRDT.DIGEST", args) }

// crdtRepair has the engine write anew what this region shows of keys. It travels alone, as values may be large.
func (s *session) crdtRepair(args [][]byte) { s.askAlone(backend.OpWrite, "XCRDT.REPAIR", args) }

// askAlone gives the engine an op in the place of a subcommand, with its arguments, in a call of its own.
func (s *session) askAlone(kind backend.OpKind, name string, args [][]byte) {
	bytes := resp.AppendBulkString(nil, name)
	for _, arg := range args[2:] {
		bytes = resp.AppendBulk(bytes, arg)
	}
	op := backend.Op{Kind: kind, Discard: s.silent(), Alone: true, Argc: len(args) - 1, Count: 1, Bytes: bytes}
	if s.replay != nil {
		op.DB = s.replay.db
	}
	s.ops = append(s.ops, op)
}

func (s *session) crdtInfo([][]byte) {
	ctx, cancel := s.controlContext()
	defer cancel()
	s.barrier()
	s.replyText(s.crdtSection(ctx))
}

func (s *session) crdtStatus([][]byte) {
	control, ctx, cancel := s.control()
	if control == nil {
		return
	}
	defer cancel()
	fields, err := control.Status(ctx)
	if err != nil {
		s.replyError(controlError(err))
		return
	}
	s.reply(s.appendFields(nil, fields))
}

func (s *session) crdtPeers([][]byte) {
	control, ctx, cancel := s.control()
	if control == nil {
		return
	}
	defer cancel()
	peers, err := control.Peers(ctx)
	if err != nil {
		s.replyError(controlError(err))
		return
	}
	out := resp.AppendArray(nil, len(peers))
	for _, peer := range peers {
		out = s.appendFields(out, []Field{
			{"name", peer.Name},
			{"id", strconv.Itoa(peer.ID)},
			{"addr", peer.Addr},
			{"state", string(peer.State)},
			{"lag-ms", strconv.FormatInt(peer.Lag.Milliseconds(), 10)},
			{"lag-effects", strconv.FormatInt(peer.LagEffects, 10)},
			{"drift-ms", strconv.FormatInt(peer.Drift.Milliseconds(), 10)},
			{"connected-at", millis(peer.Connected)},
			{"acked-at", millis(peer.AckedTime)},
			{"last-error", peer.LastError},
		})
	}
	s.reply(out)
}

// crdtMembers is CRDT MEMBERS [LIST] | ADD region address… | REMOVE region.
func (s *session) crdtMembers(args [][]byte) {
	list := len(args) == 2 || len(args) == 3 && is(args[2], "LIST")
	add, remove := len(args) >= 5 && is(args[2], "ADD"), len(args) == 4 && is(args[2], "REMOVE")
	if !list && !add && !remove {
		s.replyError(errSyntax)
		return
	}
	control, ctx, cancel := s.control()
	if control == nil {
		return
	}
	defer cancel()
	if list {
		s.listMembers(ctx, control)
		return
	}
	var err error
	if add {
		var addrs []string
		for _, addr := range args[4:] {
			addrs = append(addrs, string(addr))
		}
		err = control.AddMember(ctx, string(args[3]), addrs)
	} else {
		err = control.RemoveMember(ctx, string(args[3]))
	}
	if err != nil {
		s.replyError(controlError(err))
		return
	}
	s.replyOK()
}

func (s *session) listMembers(ctx context.Context, control Control) {
	members, err := control.Members(ctx)
	if err != nil {
		s.replyError(controlError(err))
		return
	}
	out := resp.AppendArray(nil, len(members))
	for _, m := range members {
		state := "member"
		if m.Removed {
			state = "removed"
		}
		out = s.appendFields(out, []Field{
			{"name", m.Name}, {"id", strconv.Itoa(m.ID)}, {"state", state}, {"addrs", strings.Join(m.Addrs, " ")},
		})
	}
	s.reply(out)
}

func (s *session) crdtConflicts(args [][]byte) {
	count := defaultConflicts
	if len(args) > 3 {
		s.replyError(errSyntax)
		return
	}
	if len(args) == 3 {
		var refusal string
		if count, refusal = integer32(args[2]); refusal == "" && count < 0 {
			refusal = errNotInteger
		}
		if refusal != "" {
			s.replyError(refusal)
			return
		}
	}
	control, ctx, cancel := s.control()
	if control == nil {
		return
	}
	defer cancel()
	conflicts, err := control.Conflicts(ctx, count)
	if err != nil {
		s.replyError(controlError(err))
		return
	}
	out := resp.AppendArray(nil, len(conflicts))
	for _, c := range conflicts {
		out = s.appendFields(out, []Field{
			{"id", c.ID}, {"db", strconv.Itoa(c.DB)}, {"key", c.Key}, {"element", c.Element}, {"type", c.Type}, {"rule", c.Rule},
			{"winner-origin", c.Winner.Origin}, {"winner-at", millis(c.Winner.Time)}, {"winner-value", c.Winner.Value},
			{"loser-origin", c.Loser.Origin}, {"loser-at", millis(c.Loser.Time)}, {"loser-value", c.Loser.Value},
			{"at", millis(c.At)},
		})
	}
	s.reply(out)
}

func (s *session) crdtHelp([][]byte) {
	s.replyHelp("CRDT",
		"CONFLICTS [<count>]", "    Return the newest resolved conflicts with the losing values.",
		"DIGEST (PAGE|KEYS|<cursor>) <key> [<key> ...]", "    Return digests of what this region shows, as 'anabranch verify' compares them.",
		"EXPLAIN <key>", "    Tell what the metadata of a key says.",
		"INFO", "    Return the CRDT section of INFO.",
		"MEMBERS [LIST]", "    Return the other regions.",
		"MEMBERS ADD <region> <host:port> [<host:port> ...]", "    Make a region a member, everywhere.",
		"MEMBERS REMOVE <region>", "    End a region's membership, everywhere.",
		"PAUSE (<region>|ALL)", "    Stop taking effects from a region.",
		"PEERS", "    Return the state of the links to the other regions.",
		"REPAIR <key> [<key> ...]", "    Write anew, to all regions, what this one shows of keys, and return how many of them there are.",
		"RESUME (<region>|ALL)", "    Take effects from a region again.",
		"STATUS", "    Tell what replication is doing and waiting for.",
		"WAIT <regions> <timeout>", "    Wait until other regions have applied what this connection wrote, and return how many have.",
	)
}

// appendFields appends names and values as a map.
func (s *session) appendFields(dst []byte, fields []Field) []byte {
	dst = resp.AppendMap(dst, len(fields), s.proto)
	for _, field := range fields {
		dst = resp.AppendBulkString(dst, field.Name)
		dst = resp.AppendBulkString(dst, field.Value)
	}
	return dst
}

// millis is a point in time as Unix milliseconds, 0 for never.
func millis(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}
