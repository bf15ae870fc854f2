// Command slipway deploys machine-learning models by event. `slipway up` starts
// everything in one process; the other verbs are its parts and its clients.
package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	environment := make(map[string]string)
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		environment[name] = value
	}
	os.Exit(run(ctx, os.Args[1:], environment, os.Stdin, os.Stdout, os.Stderr))
}
