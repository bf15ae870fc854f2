package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// endpoints are where a running slipway is reached. It keeps them in its data
// directory for as long as it is ready.
type endpoints struct {
	NATS    string `json:"nats,omitempty"`
	Predict string `json:"predict,omitempty"`
	Gateway string `json:"gateway,omitempty"`
	Health  string `json:"health,omitempty"`
	PID     int    `json:"pid"`
}

func endpointsFile(dataDir string) string { return filepath.Join(dataDir, "endpoints.json") }

// write stores the endpoints; remove takes them away again.
func (e endpoints) write(dataDir string) (remove func() error, err error) {
	e.PID = os.Getpid()
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write endpoints: %w", err)
	}
	path := endpointsFile(dataDir)
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("write endpoints: %w", err)
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, append(text, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("write endpoints: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return nil, fmt.Errorf("write endpoints: %w", err)
	}
	return func() error {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove endpoints: %w", err)
		}
		return nil
	}, nil
}

func readEndpoints(dataDir string) (e endpoints, err error) {
	text, err := os.ReadFile(endpointsFile(dataDir))
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, fmt.Errorf("read %s: %w", endpointsFile(dataDir), err)
	}
	return e, nil
}
