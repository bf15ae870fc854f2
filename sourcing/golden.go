package sourcing

import (
	"encoding/json"
	"path"
	"strings"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
)

// golden is what the examples of metadata.json say that the model answers, nil if
// that cannot be compared: one of them is missing, or they are neither rows of
// numbers with predictions of numbers nor tensors of the Open Inference Protocol. The
// rejection is of examples that do not go together.
func (d described) golden() (*deployment.Golden, error) {
	m := d.metadata()
	var input, output struct {
		Instances, Inputs, Predictions, Outputs json.RawMessage
	}
	if !members(m.ExampleInput, &input, &input.Instances) || !members(m.ExampleOutput, &output, &output.Predictions) {
		return nil, nil
	}
	var request deployment.GoldenRequest
	if json.Unmarshal(input.Inputs, &request.Inputs) == nil && json.Unmarshal(output.Outputs, &request.Outputs) == nil &&
		named(request.Inputs) && named(request.Outputs) {
		return &deployment.Golden{Requests: []deployment.GoldenRequest{request}}, nil
	}
	if input.Instances == nil {
		input.Instances = input.Inputs
	}
	rows, ok := rowsOf(input.Instances, m.Features)
	answers, all := answersOf(output.Predictions)
	if !ok || !all {
		return nil, nil
	}
	if len(rows) != len(answers) {
		return nil, deployment.Reject(deployment.CodeMetadataInvalid, d.example(),
			"has %d predictions: expected one for each of the %d rows of exampleInput", len(answers), len(rows))
	}
	golden := &deployment.Golden{}
	for i, row := range rows {
		golden.Rows = append(golden.Rows, deployment.GoldenRow{Input: row, Output: answers[i]})
	}
	return golden, nil
}

// example is where the answers stand.
func (d described) example() string {
	return path.Join(string(d.at), "metadata.json") + "#exampleOutput"
}

// locate is where what a path of a model's facts is about stands in the repository.
func (d described) locate(path string) string {
	if strings.HasPrefix(path, "model.golden") {
		return d.example()
	}
	return d.file()
}

// members reads the members of an example; an array is what list is of.
func members(example json.RawMessage, into any, list *json.RawMessage) bool {
	if len(example) == 0 {
		return false
	}
	if example[0] == '[' {
		*list = example
		return true
	}
	return json.Unmarshal(example, into) == nil
}

func named(tensors []deployment.GoldenTensor) bool {
	for _, t := range tensors {
		if t.Name == "" || t.Datatype == "" || t.Shape == nil {
			return false
		}
	}
	return len(tensors) > 0
}

// rowsOf are rows of numbers, each an array or an object by the names of the features.
func rowsOf(text json.RawMessage, features []contract.Feature) (rows [][]*float64, ok bool) {
	var items []json.RawMessage
	if json.Unmarshal(text, &items) != nil || len(items) == 0 {
		return nil, false
	}
	for _, item := range items {
		var row []*float64
		var byName map[string]*float64
		switch {
		case json.Unmarshal(item, &row) == nil && row != nil:
		case json.Unmarshal(item, &byName) == nil && len(byName) == len(features):
			for _, f := range features {
				v, there := byName[f.Name]
				if !there {
					return nil, false
				}
				row = append(row, v)
			}
		default:
			return nil, false
		}
		rows = append(rows, row)
	}
	return rows, true
}

// answersOf are predictions that are numbers or arrays of them.
func answersOf(text json.RawMessage) (answers [][]float64, ok bool) {
	var items []json.RawMessage
	if json.Unmarshal(text, &items) != nil || len(items) == 0 {
		return nil, false
	}
	for _, item := range items {
		var one *float64
		var several []*float64
		if json.Unmarshal(item, &one) == nil && one != nil {
			several = []*float64{one}
		} else if json.Unmarshal(item, &several) != nil || len(several) == 0 {
			return nil, false
		}
		answer := make([]float64, len(several))
		for i, v := range several {
			if v == nil {
				return nil, false
			}
			answer[i] = *v
		}
		answers = append(answers, answer)
	}
	return answers, true
}
