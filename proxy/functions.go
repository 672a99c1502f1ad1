package proxy

import (
	"context"
	"fmt"
	"regexp"

	"github.com/redis/go-redis/v9"

	"anabranch/internal/backend"
	"anabranch/internal/resp"
	"anabranch/translate"
)

// Redis keeps and checks the libraries of clients; the engine gets their code and runs them. These commands change both, by
// the control plane's connections.

// changeFunctions runs a command that changes libraries, and tells the engine. It returns Redis's reply.
func (s *session) changeFunctions(do func(ctx context.Context, b *backend.Backend) error) error {
	s.barrier()
	ctx, cancel := s.controlContext()
	defer cancel()
	b := s.server.cfg.Backend
	if err := do(ctx, b); err != nil {
		return err
	}
	return b.ShareFunctions(ctx)
}

var libraryName = regexp.MustCompile(`^#!\S+[^\n]*\sname=["']?(\S+)`)

func (s *session) functionLoad(args [][]byte) {
	if match := libraryName.FindSubmatch(args[len(args)-1]); match != nil && backend.OwnLibrary(string(match[1])) {
		s.replyError(errOwnLibrary)
		return
	}
	var name string
	err := s.changeFunctions(func(ctx context.Context, b *backend.Backend) (err error) {
		name, err = b.Client().Do(ctx, anyArgs(args)...).Text()
		return err
	})
	if err != nil {
		s.replyError(controlError(err))
		return
	}
	s.replyBulk([]byte(name))
}

func (s *session) functionDelete(args [][]byte) {
	if backend.OwnLibrary(string(args[2])) {
		s.replyError(errNoLibrary)
		return
	}
	s.replyStatus(s.changeFunctions(func(ctx context.Context, b *backend.Backend) error {
		return b.Client().Do(ctx, anyArgs(args)...).Err()
	}))
}

// functionFlush deletes all libraries but ours.
func (s *session) functionFlush(args [][]byte) {
	if len(args) > 3 {
		s.replyError(fmt.Sprintf(errFlushSyntax, args[1]))
		return
	}
	if !isFlush(args) {
		s.replyError(errFunctionFlush)
		return
	}
	s.replyStatus(s.changeFunctions(func(ctx context.Context, b *backend.Backend) error {
		libraries, err := b.Libraries(ctx)
		if err != nil || len(libraries) == 0 {
			return err
		}
		// Not in MULTI, which a full server refuses.
		_, err = b.Client().Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, library := range libraries {
				pipe.FunctionDelete(ctx, library.Name)
			}
			return nil
		})
		return err
	}))
}

func (s *session) functionRestore(args [][]byte) {
	s.replyStatus(s.changeFunctions(func(ctx context.Context, b *backend.Backend) error {
		if len(args) == 4 && is(args[3], "FLUSH") {
			return b.RestoreFunctions(ctx, anyArgs(args))
		}
		return b.Client().Do(ctx, anyArgs(args)...).Err()
	}))
}

func (s *session) functionDump([][]byte) {
	s.barrier()
	ctx, cancel := s.controlContext()
	defer cancel()
	payload, err := s.server.cfg.Backend.DumpFunctions(ctx)
	if err != nil {
		s.replyError(controlError(err))
		return
	}
	s.replyBulk([]byte(payload))
}

func (s *session) functionList([][]byte) {
	s.pass(translate.ShapeLibraries, s.silent(), 1, s.scan.Raw)
}

// functionStats is FUNCTION STATS without our library. What runs is told by the name that the client gave.
func (s *session) functionStats(args [][]byte) {
	ctx, cancel := s.controlContext()
	defer cancel()
	b := s.server.cfg.Backend
	stats, err := b.Client().Do(ctx, anyArgs(args)...).Slice()
	var libraries []redis.Library
	if err == nil && (len(stats) < 2 || stats[1] == nil) {
		libraries, err = b.Libraries(ctx) // Redis answers FUNCTION LIST only while nothing runs
	}
	if err != nil {
		s.replyError(controlError(err))
		return
	}
	functions := 0
	for _, library := range libraries {
		functions += len(library.Functions)
	}
	out := resp.AppendMap(nil, 2, s.proto)
	out = resp.AppendBulkString(out, "running_script")
	out = s.appendRunning(out, stats)
	out = resp.AppendBulkString(out, "engines")
	out = resp.AppendMap(out, 1, s.proto)
	out = resp.AppendBulkString(out, "LUA")
	out = resp.AppendMap(out, 2, s.proto)
	out = resp.AppendBulkString(out, "libraries_count")
	out = resp.AppendInt(out, int64(len(libraries)))
	out = resp.AppendBulkString(out, "functions_count")
	out = resp.AppendInt(out, int64(functions))
	s.reply(out)
}

// runningCommand finds the client's command that runs in FUNCTION STATS: [running_script, [name, f, command, [FCALL engine 0 db
// argc FCALL f …], duration_ms, n], …].
func runningCommand(stats []any) (command []any, millis int64, running bool) {
	const engineArgs = 5 // FCALL, function, numkeys, database, argc
	if len(stats) < 2 {
		return nil, 0, false
	}
	script, _ := stats[1].([]any)
	if len(script) < 6 {
		return nil, 0, false
	}
	command, _ = script[3].([]any)
	millis, _ = script[5].(int64)
	if len(command) < engineArgs+2 {
		return nil, 0, false
	}
	command = command[engineArgs:]
	if text(command[0]) == actAs && len(command) > 3 {
		command = command[2:]
	}
	return command, millis, true
}

// appendRunning tells of the function of a client that runs.
func (s *session) appendRunning(dst []byte, stats []any) []byte {
	command, duration, running := runningCommand(stats)
	if !running {
		return resp.AppendNull(dst, s.proto)
	}
	dst = resp.AppendMap(dst, 3, s.proto)
	dst = resp.AppendBulkString(dst, "name")
	dst = resp.AppendBulkString(dst, text(command[1]))
	dst = resp.AppendBulkString(dst, "command")
	dst = resp.AppendArray(dst, len(command))
	for _, arg := range command {
		dst = resp.AppendBulkString(dst, text(arg))
	}
	dst = resp.AppendBulkString(dst, "duration_ms")
	return resp.AppendInt(dst, duration)
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

func anyArgs(args [][]byte) []any {
	list := make([]any, len(args))
	for i, arg := range args {
		list[i] = string(arg)
	}
	return list
}
