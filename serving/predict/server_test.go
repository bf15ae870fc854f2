package predict

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/serving"
)

// constant answers every row with one value per output.
type constant struct {
	features, outputs int
	value             float64
	names             []string
	err               error
	bytes             int64
	begun, end        chan struct{} // if set: Predict says that it has begun and waits for the end
}

func (c *constant) NumFeatures() int       { return c.features }
func (c *constant) NumOutputs() int        { return max(c.outputs, 1) }
func (c *constant) FeatureNames() []string { return c.names }
func (c *constant) Datatype() string       { return fp32 }
func (c *constant) NumNodes() int          { return 1 }
func (c *constant) MemoryBytes() int64     { return c.bytes }

func (c *constant) Predict(dst, _ []float64) error {
	if c.begun != nil {
		c.begun <- struct{}{}
		<-c.end
	}
	if c.value == panics {
		panic("deliberate")
	}
	for i := range dst {
		dst[i] = c.value
	}
	return c.err
}

const panics = -1e30

// opener is a store of model files whose paths are their digests. A fault keeps
// a digest from being opened.
type opener struct {
	mu     sync.Mutex
	faults map[deployment.Digest]error
	gates  map[deployment.Digest]chan struct{} // Open waits for it to be closed
	opened []deployment.Digest
	asked  chan deployment.Digest // if set, is told of every Open
}

func (o *opener) Open(ctx context.Context, d deployment.Digest, _ int64) (string, error) {
	o.mu.Lock()
	o.opened = append(o.opened, d)
	fault, gate := o.faults[d], o.gates[d]
	o.mu.Unlock()
	if o.asked != nil {
		o.asked <- d
	}
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	return string(d), fault
}

func (o *opener) setFault(d deployment.Digest, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.faults[d] = err
}

// bench is the prediction server "one" with buckets in memory and models that are not
// files: model m-7 answers 7.
type bench struct {
	*Server
	desired  *memory[serving.Desired]
	observed *memory[serving.Observed]
	servers  *memory[serving.Server]
	opener   *opener
	ready    chan struct{}
}

func newBench(tb testing.TB) *bench {
	tb.Helper()
	b := &bench{
		desired: newMemory[serving.Desired](), observed: newMemory[serving.Observed](), servers: newMemory[serving.Server](),
		opener: &opener{faults: map[deployment.Digest]error{}, gates: map[deployment.Digest]chan struct{}{}},
	}
	b.Server = b.sibling("one")
	b.ready = make(chan struct{})
	b.OnReady = func() { close(b.ready) }
	return b
}

// sibling is one more server on the same buckets.
func (b *bench) sibling(id string) *Server {
	return &Server{
		ID: id, URL: "http://" + id, Artifacts: b.opener, Desired: b.desired, Observed: b.observed, Servers: b.servers,
		Log: slog.New(slog.DiscardHandler),
		read: func(path string, _ deployment.Format) (Model, error) {
			var n float64
			if _, err := fmt.Sscanf(path, "digest-of-m-%f", &n); err != nil {
				return nil, deployment.Reject(deployment.CodeArtifactInvalid, atArtifact, "artifact is not a model: %s", path)
			}
			return &constant{features: 2, value: n}, nil
		},
	}
}

// start runs the server until the test ends and returns its address and how to
// stop it before.
func start(t *testing.T, s *Server) (url string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, l) }()
	var once sync.Once
	stop = func() (err error) {
		once.Do(func() {
			cancel()
			err = <-ended
		})
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return "http://" + l.Addr().String(), stop
}

func ref(id string) *deployment.ModelRef {
	return &deployment.ModelRef{
		ID: deployment.Name(id), Format: deployment.FormatXGBoost, Digest: deployment.Digest("digest-of-" + id), Size: 1,
	}
}

// want writes what is desired of the deployment churn.
func (b *bench) want(t *testing.T, token, round uint64, active, target *deployment.ModelRef) {
	t.Helper()
	b.wantOf(t, "churn", token, round, active, target)
}

func (b *bench) wantOf(t *testing.T, name deployment.Name, token, round uint64, active, target *deployment.ModelRef) {
	t.Helper()
	d := serving.Desired{Deployment: name, Token: token, Round: round, Active: active, Target: target}
	if err := b.desired.Put(t.Context(), serving.DesiredKey(name), d); err != nil {
		t.Fatal(err)
	}
}

// answerTo waits for what the server observes of churn in answer to a round.
func (b *bench) answerTo(t *testing.T, token, round uint64) serving.Observed {
	t.Helper()
	o, err := b.observed.wait(patience(t), serving.ObservedKey("churn", b.ID), func(o serving.Observed) bool {
		return o.Token == token && o.Round == round
	})
	if err != nil {
		t.Fatalf("no answer to token %d round %d, the newest is %+v", token, round, o)
	}
	return o
}

// patience is a context for waiting, long enough for a busy machine.
func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// stand makes the server serve the model under the name without following anything.
func stand(s *Server, name string, id string, model Model) *keeper {
	k := &keeper{server: s, name: deployment.Name(name), wake: make(chan struct{}, 1)}
	k.want.Store(&serving.Desired{Active: &deployment.ModelRef{}})
	if model != nil {
		k.slot.swap(newVersion(*ref(id), model), false)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed = true
	if s.keepers == nil {
		s.keepers = map[string]*keeper{}
	}
	s.keepers[name] = k
	return k
}

// fixture is a model file with rows and the answers that real XGBoost gave.
type fixture struct {
	path     string
	features int
	rows     [][]*float32
	expected []*float32
}

func fixtures(t *testing.T) []fixture {
	t.Helper()
	paths, err := filepath.Glob("xgboost/testdata/*/*.ubj")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	var all []fixture
	for _, path := range paths {
		text, err := os.ReadFile(path[:len(path)-len(".ubj")] + ".expected.json")
		if err != nil {
			t.Fatal(err)
		}
		var f struct {
			Features int
			Rows     [][]*float32
			Predict  []*float32
		}
		if err := json.Unmarshal(text, &f); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, fixture{path, f.Features, f.Rows, f.Predict})
	}
	return all
}

// store opens files that are put into it by digest.
type store map[deployment.Digest]string

func (s store) Open(_ context.Context, d deployment.Digest, _ int64) (string, error) {
	if path, ok := s[d]; ok {
		return path, nil
	}
	return "", errors.New("no such artifact")
}

// add puts a file into the store and returns how a deployment refers to it.
func (s store) add(t *testing.T, id, path string) *deployment.ModelRef {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	d := deployment.DigestOf(sum[:])
	s[d] = path
	return &deployment.ModelRef{ID: deployment.Name(id), Format: deployment.FormatXGBoost, Digest: d, Size: int64(len(b))}
}
