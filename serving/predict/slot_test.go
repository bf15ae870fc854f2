package predict

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
)

// TestSwapDrainsExactly holds predictions up within the model and swaps it out
// meanwhile.
func TestSwapDrainsExactly(t *testing.T) {
	t.Parallel()
	s := newBench(t).Server
	old := &constant{features: 2, value: 1, begun: make(chan struct{}), end: make(chan struct{})}
	k := stand(s, "churn", "m-1", old)
	h := s.Handler()
	var answered sync.WaitGroup
	for range 7 {
		answered.Go(func() {
			if status, body := do(t, h, "POST", "/v2/models/churn/infer", twoZeros); status != 200 {
				t.Errorf("got %d %s", status, body)
			}
		})
		<-old.begun
	}
	before, running := k.slot.swap(newVersion(*ref("m-2"), &constant{features: 2, value: 2}), false)
	if running != 7 {
		t.Errorf("got %d running requests, want 7", running)
	}
	if status, body := do(t, h, "POST", "/v2/models/churn/infer", twoZeros); status != 200 {
		t.Errorf("got %d %s from the new model", status, body)
	}
	select {
	case <-before.done:
		t.Error("drained while requests are running")
	default:
	}
	close(old.end)
	answered.Wait()
	<-before.done

	idle, running := k.slot.swap(nil, false)
	if <-idle.done; running != 0 {
		t.Errorf("got %d running requests, want none", running)
	}
	if none, running := k.slot.swap(nil, false); none != nil || running != 0 {
		t.Errorf("got %v and %d out of an empty slot", none, running)
	}
}

// TestNoPredictionFailsWhileModelsAreSwapped swaps hundreds of times under load.
// Every model answers its own number, so that an answer is explained by exactly
// the version it names or by none.
func TestNoPredictionFailsWhileModelsAreSwapped(t *testing.T) {
	t.Parallel()
	s := newBench(t).Server
	k := stand(s, "churn", "m-0", &constant{features: 2, value: 0})
	h := s.Handler()
	const clients, swaps = 16, 500
	tickets := make(chan struct{}, 4*clients) // each is good for one prediction; there are always some
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range tickets {
				status, body := do(t, h, "POST", "/v2/models/churn/infer", twoZeros)
				var answer struct {
					ModelVersion string `json:"model_version"`
					Outputs      []struct{ Data []float32 }
				}
				if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 {
					t.Errorf("got %d %s: %v", status, body, err)
				} else if want := fmt.Sprintf("m-%v", answer.Outputs[0].Data[0]); answer.ModelVersion != want {
					t.Errorf("version %s answered as %s", answer.ModelVersion, want)
				}
			}
		})
	}
	for i := 1; i <= swaps; i++ {
		for range clients {
			tickets <- struct{}{}
		}
		old, _ := k.slot.swap(newVersion(*ref(fmt.Sprintf("m-%d", i)), &constant{features: 2, value: float64(i)}), false)
		<-old.done
		if refs := old.refs.Load(); refs != 0 {
			t.Errorf("drained with %d references", refs)
		}
	}
	close(tickets)
	all.Wait()
}
