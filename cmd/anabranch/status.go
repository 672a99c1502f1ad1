package main

import (
	"context"
	"io"
)

func runStatus(ctx context.Context, args []string, stdout, stderr io.Writer) error { return nil }
func runDemo(ctx context.Context, args []string, stdout, stderr io.Writer) error   { return nil }
func runServe(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := loadConfig(args, nil, stdout)
	_ = c
	return err
}
