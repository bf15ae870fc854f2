package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

// benchReplaces is how many replacements a measurement is made of.
const benchReplaces = 100

// stopwatch measures predictions.
type stopwatch struct {
	mu     sync.Mutex
	took   []time.Duration
	newest map[deployment.Name]time.Time // when the last answer of a model came
	oldest map[deployment.Name]time.Time // and the first
}

func (s *stopwatch) note(by deployment.Name, asked, answered time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, answered.Sub(asked))
	if s.oldest[by].IsZero() {
		s.oldest[by] = answered
	}
	s.newest[by] = answered
}

// reset forgets what was measured, and returns it.
func (s *stopwatch) reset() (took []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	took, s.took = s.took, nil
	s.newest, s.oldest = make(map[deployment.Name]time.Time), make(map[deployment.Name]time.Time)
	slices.Sort(took)
	return took
}

func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)-1)*percent/100]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// BenchmarkReplace replaces a model a hundred times in an idle system, and a
// hundred times while two callers for each prediction server ask without a pause: from the
// command to its outcome (p50-ms, p99-ms, load-p50-ms), from the last answer of
// the old model to the first one of the new (switch-p50-ms, below 0 while one server has
// switched and another has not), and how long a prediction takes meanwhile, and
// before (predict-p99-ms, rest-p99-ms). All parts are processes on one machine.
func BenchmarkReplace(b *testing.B) {
	for _, servers := range []int{1, 3} {
		b.Run(fmt.Sprint("servers=", servers), func(b *testing.B) {
			z := newZero(b, servers)
			for b.Loop() {
				idle := z.replaces(nil)
				watch := &stopwatch{}
				watch.reset()
				_, stop := z.call(2*servers, watch.note)
				_ = wait(b.Context(), 500*time.Millisecond)
				watch.reset()
				_ = wait(b.Context(), 3*time.Second)
				rest := watch.reset()
				var gaps []time.Duration
				loaded := z.replaces(func(old, new deployment.Name) {
					_ = wait(b.Context(), 20*time.Millisecond)
					watch.mu.Lock()
					defer watch.mu.Unlock()
					gaps = append(gaps, watch.oldest[new].Sub(watch.newest[old]))
				})
				during := watch.reset()
				stop()
				slices.Sort(gaps)
				b.ReportMetric(milliseconds(quantile(idle, 50)), "p50-ms")
				b.ReportMetric(milliseconds(quantile(idle, 99)), "p99-ms")
				b.ReportMetric(milliseconds(quantile(loaded, 50)), "load-p50-ms")
				b.ReportMetric(milliseconds(quantile(gaps, 50)), "switch-p50-ms")
				b.ReportMetric(milliseconds(gaps[len(gaps)-1]), "switch-max-ms")
				b.ReportMetric(milliseconds(quantile(rest, 50)), "rest-p50-ms")
				b.ReportMetric(milliseconds(quantile(rest, 99)), "rest-p99-ms")
				b.ReportMetric(milliseconds(quantile(during, 50)), "predict-p50-ms")
				b.ReportMetric(milliseconds(quantile(during, 99)), "predict-p99-ms")
			}
		})
	}
}

// replaces replaces the model, and returns how long each took, the shortest first.
func (z *zero) replaces(after func(old, new deployment.Name)) (took []time.Duration) {
	for range benchReplaces {
		old, began := z.model, time.Now()
		z.replace()
		took = append(took, time.Since(began))
		if after != nil {
			after(old, z.model)
		}
	}
	slices.Sort(took)
	return took
}

// BenchmarkReplaceMemory is the resident memory of a prediction server, in MiB
// as Linux has it, that serves a model of so many trees, at most while it is
// replaced by another one of that size, and when the old one need not be kept
// any more; and the size of the file.
func BenchmarkReplaceMemory(b *testing.B) {
	const keep = time.Second
	z := newZero(b, 1, "SLIPWAY_KEEP_PREVIOUS="+keep.String())
	file := largeModel(b, 40000)
	artifact := z.upload(file)
	model := func(kind string) handlers.ModelFacts {
		return handlers.ModelFacts{
			Format: deployment.FormatXGBoost, Type: kind, Artifact: artifact, Features: largeFeatures(b, file),
			Target: deployment.Target{Name: "y", Type: deployment.TargetRegression},
		}
	}
	server := func(field string) float64 { return processMemory(b, z.servers[0], field) }
	for i := 0; b.Loop(); i++ {
		z.carry("delete", handlers.Delete{})
		z.completed("deploy", handlers.Deploy{Label: "Large", ModelChoice: inlineModel(model(fmt.Sprint("first ", i)))})
		_ = wait(b.Context(), 5*time.Second) // for the memory of reading to be given back
		serving := server("VmRSS:")
		where, err := readEndpoints(z.servers[0].dir)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", where.PID), []byte("5"), 0); err != nil { // the peak begins anew
			b.Fatal(err)
		}
		z.completed("replace", replaceBy(model(fmt.Sprint("second ", i))))
		peak := server("VmHWM:")
		_ = wait(b.Context(), keep+5*time.Second)
		b.ReportMetric(float64(len(file))/(1<<20), "file-MiB")
		b.ReportMetric(serving, "serving-MiB")
		b.ReportMetric(peak, "peak-MiB")
		b.ReportMetric(server("VmRSS:"), "after-MiB")
		b.ReportMetric(0, "ns/op") // most of it is waiting
	}
}

func inlineModel(facts handlers.ModelFacts) handlers.ModelChoice {
	return handlers.ModelChoice{Model: &facts}
}

// processMemory is a line of what Linux says of the process, in MiB.
func processMemory(tb testing.TB, p *child, field string) float64 {
	tb.Helper()
	where, err := readEndpoints(p.dir)
	if err != nil {
		tb.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", where.PID))
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), field)
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		tb.Fatal(err)
	}
	return kib / 1024
}

const largeOrigin = "../../serving/predict/xgboost/testdata/3.2.0/feature-names.json"

// largeModel is the file of a model with that many trees: those of a small one
// again and again.
func largeModel(tb testing.TB, trees int) []byte {
	tb.Helper()
	var file map[string]any
	text, err := os.ReadFile(largeOrigin)
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		tb.Fatal(err)
	}
	model := file["learner"].(map[string]any)["gradient_booster"].(map[string]any)["model"].(map[string]any) //nolint:forcetypeassert // a fixture
	small := model["trees"].([]any)                                                                          //nolint:forcetypeassert // a fixture
	model["gbtree_model_param"] = map[string]any{"num_parallel_tree": "1", "num_trees": strconv.Itoa(trees)}
	all, info, rounds := make([]any, trees), make([]int, trees), make([]int, trees+1)
	for i := range trees {
		tree := make(map[string]any)
		for name, value := range small[i%len(small)].(map[string]any) { //nolint:forcetypeassert // a fixture
			tree[name] = value
		}
		tree["id"] = i
		all[i], rounds[i+1] = tree, i+1
	}
	model["trees"], model["tree_info"], model["iteration_indptr"] = all, info, rounds
	if text, err = json.Marshal(file); err != nil {
		tb.Fatal(err)
	}
	return text
}

// largeFeatures are the features that the file names.
func largeFeatures(tb testing.TB, file []byte) (features []deployment.Feature) {
	tb.Helper()
	var names struct {
		Learner struct {
			Names []string `json:"feature_names"`
		} `json:"learner"`
	}
	if err := json.Unmarshal(file, &names); err != nil {
		tb.Fatal(err)
	}
	for _, name := range names.Learner.Names {
		features = append(features, deployment.Feature{Name: name, Type: deployment.FeatureNumeric})
	}
	return features
}
