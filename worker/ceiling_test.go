package worker_test

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

// BenchmarkCeiling holds the product against the bare loop in the same run: one
// load in both sync modes, with more commands and five times when CEILING is
// "one"; once for each line of the table in docs/performance.md when it is "full".
func BenchmarkCeiling(b *testing.B) {
	ratios := map[string]string{}
	for _, l := range ceilingLoads() {
		name := fmt.Sprintf("%s/%s/workers=%d/concurrency=%d/deployments=%d/effect=%s", l.sync, l.server, l.workers, l.concurrency, l.deployments, l.effect)
		b.Run(name, func(b *testing.B) {
			var product, bare, grouped, single []result
			for b.Loop() {
				for range ceilingRuns() {
					product = append(product, alone(b, func(s *scope) result { return l.product(s, true) }))
					sizes := product[len(product)-1].sizes
					bare = append(bare, alone(b, func(s *scope) result { return l.bare(s, sizes) }))
					if l.groups() {
						grouped = append(grouped, alone(b, func(s *scope) result { return l.queued(s, true) }))
						single = append(single, alone(b, func(s *scope) result { return l.queued(s, false) }))
					}
				}
			}
			p, r := median(product), median(bare)
			b.ReportMetric(p.rate, "commands/s")
			b.ReportMetric(float64(p.p50.Microseconds())/1e3, "ms/p50")
			b.ReportMetric(float64(p.p99.Microseconds())/1e3, "ms/p99")
			b.ReportMetric(r.rate, "bare/s")
			b.ReportMetric(p.rate/r.rate, "product/bare")
			b.ReportMetric(p.cpu, "cpu-us/command")
			b.ReportMetric(r.cpu, "bare-cpu-us/command")
			if l.effect > 0 {
				ideal := float64(min(l.workers*l.concurrency, l.deployments)) / l.effect.Seconds()
				b.ReportMetric(p.rate/ideal, "product/ideal")
			}
			ratio := fmt.Sprintf("%s product/bare %.2f", l.sync, p.rate/r.rate)
			if l.groups() {
				many, one := median(grouped), median(single)
				g := many.rate / one.rate
				b.ReportMetric(many.rate, "queued/s")
				b.ReportMetric(many.cpu, "queued-cpu-us/command")
				b.ReportMetric(g, "grouped/single")
				ratio += fmt.Sprintf(" grouped/single %.2f", g)
			}
			if l.headline() {
				ratios[l.sync] = ratio
			}
			b.ReportMetric(0, "ns/op")
		})
	}
	b.Cleanup(func() {
		for _, sync := range []string{"lazy", "fsync"} {
			fmt.Println(ratios[sync])
		}
	})
}

// alone measures without what is left of the measurements before it: their
// servers, workers and memory.
func alone(b *testing.B, measure func(*scope) result) result {
	b.Helper()
	s := &scope{TB: b}
	defer runtime.GC()
	defer s.end()
	return measure(s)
}

// scope is a part of a benchmark that cleans up when it ends.
type scope struct {
	testing.TB
	cleanups []func()
}

func (s *scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *scope) end() {
	for _, f := range slices.Backward(s.cleanups) {
		f()
	}
}

// groups says whether it is measured what groups are good for.
func (l load) groups() bool {
	return l.sync == "fsync" && l.server == "embedded" && l.workers == 1 && l.effect == 0
}

// headline is the load whose ratios are printed last.
func (l load) headline() bool {
	return l.server == "embedded" && l.workers == 1 && l.deployments == 500 && l.effect == 0
}

// ceilingRuns is of how many runs the median is taken.
func ceilingRuns() int {
	if os.Getenv("CEILING") == "one" {
		return 5
	}
	return 1
}

func ceilingLoads() (loads []load) {
	if os.Getenv("CEILING") != "full" {
		commands := 1000
		if os.Getenv("CEILING") == "one" {
			commands = 8000
		}
		for _, sync := range []string{"lazy", "fsync"} {
			loads = append(loads, load{sync, "embedded", 1, 256, 500, commands, 0})
		}
		return loads
	}
	for _, sync := range []string{"lazy", "fsync"} {
		for _, server := range []string{"embedded", "separate"} {
			for _, workers := range []int{1, 4} {
				for _, deployments := range []int{1, 8, 64, 256, 500} {
					loads = append(loads, load{sync, server, workers, 256 / workers, deployments, min(4000, 200*deployments), 0})
				}
				for _, concurrency := range []int{16, 32} {
					loads = append(loads, load{sync, server, workers, concurrency / workers, 500, 2000, 20 * time.Millisecond})
				}
			}
		}
	}
	return loads
}

// median is the one with the median rate.
func median(results []result) result {
	slices.SortFunc(results, func(a, b result) int { return cmp.Compare(a.rate, b.rate) })
	return results[len(results)/2]
}
