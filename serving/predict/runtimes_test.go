package predict

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

// What can be asked for in a command is what is served.
func TestEveryFormatHasARuntime(t *testing.T) {
	t.Parallel()
	want := slices.Sorted(slices.Values(deployment.Formats()))
	if got := formats(); !slices.Equal(got, want) {
		t.Errorf("got runtimes for %q, want %q", got, want)
	}
	if got := list([]deployment.Format{"a", "b", "c"}); got != "a, b or c" {
		t.Errorf("got %q", got)
	}
}

// A model that calculates in FP32 is asked with the values of the request rounded
// to it, and refuses those that are beyond it.
func TestSinglePrecision(t *testing.T) {
	t.Parallel()
	s := newBench(t).Server
	h := s.Handler()
	model, facts, err := load("xgboost/testdata/3.2.0/binary-logistic.ubj", deployment.FormatXGBoost)
	if err != nil {
		t.Fatal(err)
	}
	stand(s, "churn", "m-1", model)
	ask := func(value string) (int, string) {
		row := slices.Repeat([]string{value}, facts.Features)
		return do(t, h, "POST", "/v2/models/churn/infer", fmt.Sprintf(
			`{"inputs":[{"name":"x","datatype":"FP64","shape":[%d],"data":[%s]}]}`, facts.Features, strings.Join(row, ",")))
	}
	want, _ := ask("0.1")
	_, narrow := ask("0.10000000149011612") // 0.1 as float32
	if _, got := ask("0.1"); want != 200 || got != narrow || !strings.Contains(got, `"datatype":"FP32"`) {
		t.Errorf("0.1: got %d %s, want %s", want, got, narrow)
	}
	status, text := ask("-1e39")
	if status != 400 || !strings.Contains(text, "input x: data: value 0: -1e+39 is out of the range of FP32, in which the model calculates") {
		t.Errorf("got %d %s", status, text)
	}
}
