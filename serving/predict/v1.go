package predict

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// v1 is the older protocol (serving.md section 6): rows in, predictions out,
// without names and datatypes of tensors.
type v1 struct{}

func (v1) decode(q *request, body []byte, m Model) error {
	return q.decodeRows(body, m.FeatureNames(), m.NumFeatures())
}

// oneV1 answers GET /v1/models/NAME, whether it is ready, and POST
// /v1/models/NAME:predict. The name and what is asked of it are one segment of the
// path, which the patterns of http.ServeMux cannot take apart.
func (p *predictions) oneV1(w http.ResponseWriter, r *http.Request) error {
	last := "model"
	if r.PathValue("version") != "" {
		last = "version"
	}
	name, verb, asked := strings.Cut(r.PathValue(last), ":")
	r.SetPathValue(last, name)
	method, answer := http.MethodGet, p.server.modelReady
	switch {
	case !asked:
	case verb == "predict":
		method, answer = http.MethodPost, p.predictV1
	case verb == "explain":
		return problemf(http.StatusNotImplemented, "%s: predictions are not explained here, expected :predict", r.URL.Path)
	default:
		return problemf(http.StatusNotFound, "%s: no such path", r.URL.Path)
	}
	if err := allow(w, r, method); err != nil {
		return err
	}
	return answer(w, r)
}

func (p *predictions) predictV1(w http.ResponseWriter, r *http.Request) error {
	return p.answer(w, r, v1{})
}

// decodeRows reads the body of a v1 request for a model with so many features, of
// these names if it has names: rows that are arrays in row order or objects by
// name. All features have to be there; null is a missing value.
func (q *request) decodeRows(body []byte, names []string, features int) error {
	q.reset()
	q.features = features
	d := document(body)
	var instances span
	end, err := d.object(d.space(0), func(name []byte, value span) error {
		switch string(name) {
		case "instances", "inputs":
			if instances.from > 0 && q.input != string(name) {
				return errors.New("instances and inputs: expected one of them")
			}
			q.input = string(name)
			return instances.set(value)
		}
		return d.check(value)
	})
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if err := d.ends(end); err != nil {
		return err
	}
	if instances.from == 0 {
		return fmt.Errorf("instances: missing")
	}
	columns := index{names: names}
	err = d.elements(instances.from, func(i, from int) (end int, err error) {
		q.rows, q.start = i+1, len(q.values)
		switch d.peek(from) {
		case '[':
			end, err = q.scalars(d, from, datatype{'v', 64})
			if got := len(q.values) - q.start; err == nil && got != features {
				err = fmt.Errorf("expected %d values%s, got %d", features, inOrder(names), got)
			}
		case '{':
			end, err = q.members(d, from, &columns)
		default:
			err = fmt.Errorf("expected an array of %d values or an object, got %s", features, d.show(from))
		}
		if err != nil {
			err = fmt.Errorf("row %d: %w", i, err)
		}
		return end, err
	})
	if err == nil && q.rows == 0 {
		err = fmt.Errorf("no rows: expected 1 or more")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", q.input, err)
	}
	return nil
}

// members appends a row that is an object of values by the names of features.
func (q *request) members(d document, from int, columns *index) (end int, err error) {
	if len(columns.names) == 0 {
		return 0, fmt.Errorf("the model has no names of features: expected an array of %d values, got an object", q.features)
	}
	if len(d)-from < q.features { // of an object with all of them
		return 0, fmt.Errorf("expected a value for each feature%s", inOrder(columns.names))
	}
	q.seen = append(q.seen[:0], make([]bool, q.features)...)
	for range q.features {
		q.values = append(q.values, math.NaN())
	}
	row, count := q.values[q.start:], 0
	end, err = d.object(from, func(name []byte, value span) error {
		place, known := columns.find(string(name), count)
		count++
		switch {
		case !known:
			return fmt.Errorf("no feature %q%s", name, inOrder(columns.names))
		case q.seen[place]:
			return fmt.Errorf("%s: stands twice", name)
		}
		q.seen[place] = true
		token := d[value.from:value.to]
		if string(token) == "null" {
			return nil
		}
		var err error
		if row[place], err = (datatype{'v', 64}).value(token); err != nil {
			return fmt.Errorf("%s: %s: %w", name, d.show(value.from), err)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for place, there := range q.seen {
		if !there {
			return 0, fmt.Errorf("%s: missing, expected a value or null", columns.names[place])
		}
	}
	return end, nil
}

// answer appends the response to b: a number for each row, or an array of them if
// the model has several outputs.
func (v1) answer(b []byte, _, version string, _ *request, values []float64, m Model) []byte {
	outputs, size := m.NumOutputs(), bits(m)
	b = append(b, `{"predictions":[`...)
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		if outputs > 1 && i%outputs == 0 {
			b = append(b, '[')
		}
		b = strconv.AppendFloat(b, v, 'g', -1, size)
		if outputs > 1 && i%outputs == outputs-1 {
			b = append(b, ']')
		}
	}
	b = append(b, `],"model_version":`...)
	b = appendString(b, version)
	return append(b, '}')
}
