package predict

import (
	"errors"
	"math"
	"net/http"
	"slices"
)

// inferRows decodes the request in body as rows, asks the model for predictions
// and puts the answer together. version is that of the model.
func (memory *scratch) inferRows(d dialect, m Model, version string, l Limits, e *exchange) error {
	q, name := &memory.request, e.deployment
	if err := d.decode(q, memory.body, m); err != nil {
		return problemf(http.StatusBadRequest, "%v", err)
	}
	e.rows = q.rows
	if q.features != m.NumFeatures() {
		return problemf(http.StatusBadRequest, "input %s: expected %d values per row%s, got %d",
			q.input, m.NumFeatures(), inOrder(m.FeatureNames()), q.features)
	}
	if q.rows > l.Rows {
		return problemf(http.StatusRequestEntityTooLarge, "input %s: %d rows are more than %d", q.input, q.rows, l.Rows)
	}
	outputs := m.NumOutputs()
	if q.rows > maxAnswer/outputs {
		return problemf(http.StatusRequestEntityTooLarge, "answer: %d rows of %d values are more than %d values", q.rows, outputs, maxAnswer)
	}
	if n := q.rows * outputs; cap(memory.values) < n {
		memory.values = make([]float64, n)
	} else {
		memory.values = memory.values[:n]
	}
	err := predictRows(m, memory.values, q.values, e.deadline)
	if r, ok := errors.AsType[*rangeError](err); ok {
		return problemf(http.StatusBadRequest, "input %s: data: value %d: %v", q.input, r.index, r)
	}
	if late, ok := errors.AsType[*problem](err); ok {
		return problemf(late.status, "model %s: version %s: %w", name, version, err)
	}
	if err != nil {
		return problemf(http.StatusInternalServerError, "model %s: version %s: %w", name, version, err)
	}
	if i, found := notFinite(memory.values); found {
		row := q.values[i/outputs*q.features:][:q.features]
		if j := slices.IndexFunc(row, math.IsNaN); j >= 0 {
			return problemf(http.StatusBadRequest, "input %s: data: row %d, value %d is missing: expected a number, as the model has no answer without it (output %s: value %d is %v)",
				q.input, i/outputs, j, outputName, i%outputs, memory.values[i])
		}
		return problemf(http.StatusInternalServerError, "model %s: version %s: output %s: row %d, value %d is %v",
			name, version, outputName, i/outputs, i%outputs, memory.values[i])
	}
	memory.answer = d.answer(memory.answer[:0], name, version, q, memory.values, m)
	return nil
}
