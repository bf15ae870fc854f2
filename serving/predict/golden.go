package predict

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// checkGolden asks the model for what is golden. The error is a *deployment.Rejection.
func checkGolden(m Model, golden *deployment.Golden) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = deployment.Reject(deployment.CodePanic, atArtifact, "ask the model for its golden rows: panic: %v", p)
		}
	}()
	asked := deployment.Asked{
		Features: m.NumFeatures(), Outputs: m.NumOutputs(), Row: m.Predict,
		Request: func(r deployment.GoldenRequest) ([]deployment.GoldenTensor, error) { return askGolden(m, r) },
	}
	if g, ok := m.(*graph); ok && !g.takesRows() {
		asked.Features = 0
	}
	return golden.Check(asked)
}

// askGolden is the answer that a client would get to the request.
func askGolden(m Model, r deployment.GoldenRequest) ([]deployment.GoldenTensor, error) {
	var request, answer struct {
		Inputs  []deployment.GoldenTensor `json:"inputs,omitempty"`
		Outputs []deployment.GoldenTensor `json:"outputs,omitempty"`
	}
	request.Inputs = r.Inputs
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	const name, version = "golden", "new" // of nothing but messages
	memory := scratch{body: body}
	if g, ok := m.(*graph); ok {
		memory.answer, _, err = g.infer(nil, body, name, version, DefaultRows, time.Now().Add(DefaultDeadline))
	} else {
		e := exchange{deployment: name, deadline: time.Now().Add(DefaultDeadline)}
		err = memory.inferRows(v2{}, m, version, Limits{Rows: DefaultRows}, &e)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(memory.answer, &answer); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return answer.Outputs, nil
}
