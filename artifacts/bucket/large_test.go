package bucket

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/embedded"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

// pinner is what a process is told that pins an artifact as a worker does.
type pinner struct {
	NATS        string
	Dir         string
	Artifact    deployment.Artifact
	Environment map[string]string
}

// pinned is what it says then.
type pinned struct {
	Peak int64 // bytes of memory at most, in all its life
	Pin  time.Duration
}

const pinnerVariable = "SLIPWAY_TEST_PINNER"

// TestMain is that process, if it is told to be.
func TestMain(m *testing.M) {
	text := os.Getenv(pinnerVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	said, err := pin(text)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(said)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func pin(text string) (said pinned, err error) {
	var p pinner
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return said, err
	}
	ctx := context.Background()
	conn, err := jetstream.Connect(jetstream.Settings{URL: p.NATS}, "pinner", slog.New(slog.DiscardHandler))
	if err != nil {
		return said, err
	}
	defer conn.Close()
	js, err := jetstream.Open(ctx, conn)
	if err != nil {
		return said, err
	}
	objects, err := jetstream.OpenObjects(ctx, js)
	if err != nil {
		return said, err
	}
	began := time.Now()
	worker := &artifacts.Store{Dir: filepath.Join(p.Dir, "worker"), Objects: objects, Buckets: &Buckets{Environment: p.Environment}}
	if _, err := worker.Pin(ctx, p.Artifact, nil); err != nil {
		return said, err
	}
	said.Pin = time.Since(began)
	said.Peak, err = peakMemory()
	return said, err
}

// peakMemory is the most memory that this process ever had, as Linux counts it, or
// else what Go has asked the system for.
func peakMemory() (int64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if errors.Is(err, fs.ErrNotExist) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.Sys), nil //nolint:gosec // far below the limit
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	fields := strings.Fields(rest)
	if err != nil || len(fields) == 0 {
		return 0, errors.Join(errors.New("the memory of this process is not known"), err)
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10, err
}

// zeros are as many bytes as are asked for, anywhere.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// BenchmarkLarge has a process of its own fetch, verify and keep an
// artifact of LARGE bytes (64 MiB) from an http server and from S3 whose
// connections break twice on the way, and fails when that takes it 100 MB of memory.
func BenchmarkLarge(b *testing.B) {
	const most = 100_000_000
	size := int64(64 << 20)
	if text := os.Getenv("LARGE"); text != "" {
		var err error
		if size, err = strconv.ParseInt(text, 10, 64); err != nil {
			b.Fatal(err)
		}
	}
	sum := sha256.New()
	_, _ = io.Copy(sum, io.NewSectionReader(zeros{}, 0, size))
	a := deployment.Artifact{Digest: deployment.DigestOf(sum.Sum(nil)), Size: size}
	var sent atomic.Int64
	serve := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"zeros"`)
		http.ServeContent(&breaking{ResponseWriter: w, left: int(size/3) + 1, sent: &sent}, r, "", time.Time{}, io.NewSectionReader(zeros{}, 0, size))
	}
	for name, from := range map[string]func(b *testing.B) (url string, environment map[string]string){
		"http": func(b *testing.B) (string, map[string]string) {
			b.Helper()
			server := httptest.NewServer(http.HandlerFunc(serve))
			b.Cleanup(server.Close)
			return server.URL + "/m", nil
		},
		"s3": func(b *testing.B) (string, map[string]string) {
			b.Helper()
			p := startS3(b)
			p.Answer(serve)
			return p.URL("m"), p.Settings(p.Server.URL)
		},
	} {
		b.Run(name, func(b *testing.B) {
			a := a
			var environment map[string]string
			a.URL, environment = from(b)
			b.SetBytes(size)
			var worst pinned
			for b.Loop() {
				sent.Store(0)
				said := runPinner(b, a, environment)
				worst.Peak = max(worst.Peak, said.Peak)
				worst.Pin = max(worst.Pin, said.Pin)
				if sent.Load() != size {
					b.Errorf("%d bytes were sent, want %d once", sent.Load(), size)
				}
			}
			if worst.Peak > most {
				b.Errorf("it took %d bytes of memory, want %d at most", worst.Peak, most)
			}
			b.ReportMetric(float64(worst.Peak)/1e6, "peak-MB")
			b.ReportMetric(float64(size)/1e6/worst.Pin.Seconds(), "pinned-MB/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func runPinner(b *testing.B, a deployment.Artifact, environment map[string]string) (said pinned) {
	b.Helper()
	broker, _ := jetstreamtest.StartIn(b, embedded.Options{Dir: b.TempDir(), SyncInterval: time.Minute})
	told, err := json.Marshal(pinner{NATS: broker.URL(), Dir: b.TempDir(), Artifact: a, Environment: environment})
	if err != nil {
		b.Fatal(err)
	}
	process := exec.CommandContext(b.Context(), os.Args[0]) //nolint:gosec // this program
	process.Env, process.Stderr = append(os.Environ(), pinnerVariable+"="+string(told)), os.Stderr
	text, err := process.Output()
	if err == nil {
		err = json.Unmarshal(text, &said)
	}
	if err != nil {
		b.Fatalf("pin in another process: %v: %s", err, text)
	}
	return said
}
