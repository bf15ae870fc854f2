package predict

import "fmt"

// index finds the features of a model by name.
type index struct {
	names  []string       // in row order
	byName map[string]int // made when it is needed first
}

// find is the place of the feature in a row. The one that is expected there is
// found without a search, so that names in row order cost nothing.
func (x *index) find(name string, expected int) (place int, known bool) {
	if expected < len(x.names) && x.names[expected] == name {
		return expected, true
	}
	if x.byName == nil {
		x.byName = make(map[string]int, len(x.names))
		for i, n := range x.names {
			if _, twice := x.byName[n]; !twice {
				x.byName[n] = i
			}
		}
	}
	place, known = x.byName[name]
	return place, known
}

// column reads an input that is one feature of all rows: of shape [rows] or
// [rows, 1]. Its values are appended; transpose makes rows of them.
func (q *request) column(d document, t *tensorSpans, place int) error {
	rows := q.rows
	dims, err := q.shape(d, t.shape)
	if err != nil {
		return fmt.Errorf("%s: shape: %w", t.name, err)
	}
	if dims == 1 {
		q.rows, q.features = q.features, 1
	}
	switch {
	case q.features != 1:
		return fmt.Errorf("%s: shape: expected [rows] or [rows, 1], as it is one feature, got [%d, %d]", t.name, q.rows, q.features)
	case len(q.places) > 0 && q.rows != rows:
		return fmt.Errorf("%s: shape: expected %d rows as in the input before it, got %d", t.name, rows, q.rows)
	}
	q.places = append(q.places, place)
	return q.fill(d, t, dims)
}

// transpose makes rows of columns, which have to be there once each. Only then is
// memory for the rows asked for, so that it is no more than that of the columns.
func (q *request) transpose(names []string) error {
	seen := make([]bool, len(names))
	for _, place := range q.places {
		if seen[place] {
			return fmt.Errorf("%s: stands twice", names[place])
		}
		seen[place] = true
	}
	for place, there := range seen {
		if !there {
			return fmt.Errorf("%s: missing, expected one tensor for each feature%s", names[place], inOrder(names))
		}
	}
	q.input, q.features = names[0], len(names)
	rows := append(q.spare[:0], q.values...)
	for i, place := range q.places {
		for row, v := range q.values[i*q.rows : (i+1)*q.rows] {
			rows[row*q.features+place] = v
		}
	}
	q.values, q.spare = rows, q.values
	return nil
}
