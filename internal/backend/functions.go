package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"anabranch/crdtmeta"
)

// ownLibraries begins the names of our libraries, whatever their version.
const ownLibraries = "anabranch_"

// OwnLibrary reports whether a library of functions belongs to Anabranch.
func OwnLibrary(name string) bool { return strings.HasPrefix(name, ownLibraries) }

// Libraries lists the libraries of clients, with their code.
func (b *Backend) Libraries(ctx context.Context) ([]redis.Library, error) {
	all, err := b.client.FunctionList(ctx, redis.FunctionListQuery{WithCode: true}).Result()
	if err != nil {
		return nil, err
	}
	var theirs []redis.Library
	for _, library := range all {
		if !OwnLibrary(library.Name) {
			theirs = append(theirs, library)
		}
	}
	return theirs, nil
}

// ShareFunctions hands the libraries of clients to the engine, in which they run. Redis keeps and checks them.
func (b *Backend) ShareFunctions(ctx context.Context) error {
	libraries, err := b.Libraries(ctx)
	if err != nil {
		return fmt.Errorf("FUNCTION LIST: %w", err)
	}
	args := []any{"FCALL", crdtmeta.FuncFunctions, 0}
	for _, library := range libraries {
		args = append(args, library.Name, library.Code)
	}
	if err := b.client.Do(ctx, args...).Err(); err != nil {
		return fmt.Errorf("%s: %w", crdtmeta.FuncFunctions, err)
	}
	return nil
}

// DumpFunctions is FUNCTION DUMP without our own library.
func (b *Backend) DumpFunctions(ctx context.Context) (string, error) {
	payload, err := b.aroundOwnLibrary(ctx, []any{"FUNCTION", "DELETE", crdtmeta.LibraryName}, []any{"FUNCTION", "DUMP"})
	if err != nil {
		return "", err
	}
	text, _ := payload.(string)
	return text, nil
}

// RestoreFunctions is a FUNCTION RESTORE that also removes what there was.
func (b *Backend) RestoreFunctions(ctx context.Context, command []any) error {
	_, err := b.aroundOwnLibrary(ctx, command)
	return err
}

// aroundOwnLibrary runs commands that touch our library too, and loads it again in the same step. It returns the reply of the
// last command. What the library had in memory is gone, so it is armed anew.
func (b *Backend) aroundOwnLibrary(ctx context.Context, commands ...[]any) (any, error) {
	if refusal := b.Refusal(ctx); refusal != "" {
		return nil, errors.New(refusal)
	}
	pipe := b.client.TxPipeline()
	var last *redis.Cmd
	for _, command := range commands {
		last = pipe.Do(ctx, command...)
	}
	loaded := pipe.FunctionLoadReplace(ctx, b.library)
	pipe.Exec(ctx) // its error is that of a command
	if loaded.Err() != nil {
		return nil, loaded.Err()
	}
	if err := b.Arm(ctx); err != nil {
		return nil, err
	}
	return last.Result()
}
