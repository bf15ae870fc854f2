package onnx

// Products of matrices of float32 are made tile by tile. The right side is laid
// out in panels: panelWidth columns of all rows, row after row, so that it is read
// once from front to back; the last panel is filled up with zeros. A constant right
// side is laid out when the model is read. Images are not laid out if their windows
// overlap (convtiles.go).

const (
	panelWidth = 16
	tileRows   = 8   // at most
	tileDepth  = 384 // of a panel that stays in the nearest cache for all rows
)

// tileFunc makes a part of c: some rows of panelWidth numbers each, of as many
// numbers of each row of a as there are offsets. Those are where rows of b begin,
// in bytes. Rows of a and c are aRow and cRow apart. add: to what c has; floor: the
// least that a number may become. There is one offset at least. The caller answers
// for the bounds: c, a and b are as long as that takes.
type tileFunc func(c []float32, cRow int, a []float32, aRow int, b []float32, offsets []int32, add bool, floor float32)

// tiler are the tiles that a processor has.
type tiler struct {
	eight, four tileFunc // of so many rows; nil: there is none
	one         tileFunc // whose aRow and cRow are of no matter

	// pairs writes the largest of each two numbers of both lines.
	pairs func(to, a, b []float32)
}

// pick is the largest tile for so many rows.
func (t tiler) pick(rows int) (do tileFunc, n int) {
	switch {
	case rows >= 8 && t.eight != nil:
		return t.eight, 8
	case rows >= 4 && t.four != nil:
		return t.four, 4
	}
	return t.one, 1
}

// columns are the right side of a product.
type columns struct {
	values  []float32
	next    int     // from panelWidth columns to the next
	laid    bool    // in panels
	offsets []int32 // of the rows, in bytes, if they are not in panels
}

// panels are columns laid out by lay.
func panels(values []float32, depth int) columns {
	return columns{values: values, next: panelWidth * depth, laid: true}
}

// panelOffsets are those of the rows of a panel.
var panelOffsets = func() (offsets [tileDepth]int32) {
	for k := range offsets {
		offsets[k] = int32(4 * panelWidth * k)
	}
	return offsets
}()

// part is where rows k to k+deep of the columns from j on are.
func (b *columns) part(j, k, deep int) (values []float32, offsets []int32) {
	values = b.values[j/panelWidth*b.next:]
	if b.laid {
		return values[k*panelWidth:], panelOffsets[:deep]
	}
	return values, b.offsets[k : k+deep]
}

// multiply makes c, of so many rows and columns, rows cRow apart, of a, whose rows
// are depth numbers, and b. add and floor are those of tileFunc. edge is memory for
// tileRows*panelWidth numbers.
func (t tiler) multiply(c []float32, cRow int, a []float32, b columns, rows, width, depth int, add bool, floor float32, edge []float32) {
	if depth == 0 {
		for i := range rows {
			for j := range width {
				if !add {
					c[i*cRow+j] = 0
				}
				c[i*cRow+j] = max(c[i*cRow+j], floor)
			}
		}
	}
	for j := 0; j < width; j += panelWidth {
		for k := 0; k < depth; k += tileDepth {
			f := floor
			if k+tileDepth < depth {
				f = lowest
			}
			values, offsets := b.part(j, k, min(tileDepth, depth-k))
			for i := 0; i < rows; {
				do, n := t.pick(rows - i)
				to, more := c[i*cRow+j:], add || k > 0
				if width-j >= panelWidth {
					do(to, cRow, a[i*depth+k:], depth, values, offsets, more, f)
				} else {
					for r := 0; more && r < n; r++ {
						copy(edge[r*panelWidth:], to[r*cRow:][:width-j])
					}
					do(edge, panelWidth, a[i*depth+k:], depth, values, offsets, more, f)
					for r := range n {
						copy(to[r*cRow:][:width-j], edge[r*panelWidth:])
					}
				}
				i += n
			}
		}
	}
}

// panelsSize is how many numbers the panels of a matrix have.
func panelsSize(depth, width int) int {
	return (width + panelWidth - 1) / panelWidth * panelWidth * depth
}

// lay writes a matrix of depth rows and width columns in panels. Element k of column
// j is from[j*column+k*row].
func lay(panels, from []float32, depth, width, row, column int) {
	for j := 0; j < width; j += panelWidth {
		panel := panels[j*depth : (j+panelWidth)*depth]
		n := min(panelWidth, width-j)
		for k := range depth {
			line := panel[k*panelWidth : (k+1)*panelWidth]
			if column == 1 {
				copy(line[:n], from[k*row+j:])
			} else {
				for i := range n {
					line[i] = from[(j+i)*column+k*row]
				}
			}
			clear(line[n:])
		}
	}
}
