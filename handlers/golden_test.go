package handlers_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

// TestGoldenRowsGoWithTheModel: whatever model is rolled out, prediction servers
// are told its golden rows.
func TestGoldenRowsGoWithTheModel(t *testing.T) {
	t.Parallel()
	one := 1.0
	facts := content(1)
	facts.Golden = &deployment.Golden{Rows: []deployment.GoldenRow{{Input: []*float64{&one}, Output: []float64{1}}}}
	inspection := &deployment.Inspection{Features: 1}
	for name, data := range map[string]any{
		"inline": handlers.Deploy{Label: "Churn", ModelChoice: handlers.ModelChoice{Model: &facts}},
		"by id":  handlers.Deploy{Label: "Churn", ModelChoice: handlers.ModelChoice{ModelID: "churn-v1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal(data)
			if err != nil {
				t.Fatal(err)
			}
			all := handlers.All()
			deploy := all[slices.IndexFunc(all, func(o handlers.Operation) bool { return o.Op == "deploy" })]
			model := facts.Named("churn-v1")
			asked, err := deploy.Read(text)
			if err != nil {
				t.Fatal(err)
			}
			d, err := asked.Decide(deployment.Subject{}, deployment.Facts{Model: &model, Inspection: inspection}, deployment.Command{Name: "churn"})
			if err != nil || len(d.Effects) != 1 {
				t.Fatalf("got %+v: %v", d, err)
			}
			if serve, ok := d.Effects[0].(deployment.Serve); !ok || cmp.Diff(facts.Golden, serve.Golden) != "" {
				t.Errorf("got %+v, want the golden rows with the model", d.Effects[0])
			}
		})
	}
}
