package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"
)

type healthCmd struct {
	URL string `arg:"" optional:"" help:"Address to ask. Default: that of the slipway that runs in SLIPWAY_DATA_DIR."`
}

// Run asks a running slipway whether it is ready.
func (h *healthCmd) Run(ctx context.Context, p *program) error {
	url := h.URL
	if url == "" {
		where, err := readEndpoints(p.DataDir)
		if errors.Is(err, fs.ErrNotExist) {
			return exitf(exitFailed, "no slipway is ready in %s: it writes %s once it is", p.DataDir, endpointsFile(p.DataDir))
		}
		if err != nil {
			return err
		}
		url = cmp.Or(where.Health, where.Predict+"/v2/health/ready")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return exitf(exitUsage, "%w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return exitf(exitUnreachable, "%w", err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return exitf(exitUnreachable, "%w", err)
	}
	if response.StatusCode != http.StatusOK {
		return exitf(exitFailed, "%s answers %s", url, response.Status)
	}
	fmt.Fprintln(p.stdout, "ready")
	return nil
}
