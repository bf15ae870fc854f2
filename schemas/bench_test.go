package schemas_test

import (
	"encoding/json"
	"testing"
)

func BenchmarkCheck(b *testing.B) {
	set := load(b)
	for name, bench := range map[string]struct {
		data     string
		findings int
	}{
		"valid":   {`{"label":"Churn","description":"Who leaves","model":` + model + `}`, 0},
		"invalid": {`{"label":"","lable":"Churn","model":` + with(b, `"Binary"`, `"Ternary"`) + `}`, 3},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.data)))
			data := json.RawMessage(bench.data)
			for b.Loop() {
				if found := set.Check(deploy, data); len(found) != bench.findings {
					b.Fatalf("got %v, want %d findings", found, bench.findings)
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		load(b)
	}
}
