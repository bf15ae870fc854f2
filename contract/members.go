package contract

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// findings are what is wrong so far.
type findings []deployment.Finding

// maxFindings is how many are reported; who has more to mend runs again.
const maxFindings = 100

func (f *findings) add(code deployment.Code, at, format string, args ...any) {
	switch {
	case len(*f) < maxFindings:
		*f = append(*f, deployment.Finding{Code: code, Path: at, Message: fmt.Sprintf(format, args...)})
	case len(*f) == maxFindings:
		*f = append(*f, deployment.Finding{Code: code, Message: "more findings are left out"})
	}
}

// has reports whether something was found at that path already.
func (f findings) has(at string) bool {
	for _, finding := range f {
		if finding.Path == at {
			return true
		}
	}
	return false
}

// members reads the members of one JSON object by name, whichever way the name
// is spelled: readinessPath, readiness_path. A null is as good as no member.
type members struct {
	at     string // path of the object: "model/reference.json#reference.blob"
	code   deployment.Code
	found  *findings
	left   map[string]member // not asked for yet, by folded name
	order  []string          // folded names as they came
	member bool              // the object is itself a member: a dot goes between
}

// open looks at the members of v, which has to be an object.
func (f *findings) open(v value, at string, code deployment.Code, isMember bool) *members {
	m := &members{at: at, code: code, found: f, left: map[string]member{}, member: isMember}
	if v.kind != object {
		f.add(code, at, "expected an object, got %v", v.kind)
		return m
	}
	for _, child := range v.members {
		if child.kind == null {
			continue
		}
		name := fold(child.name)
		if first, twice := m.left[name]; twice {
			f.add(code, m.path(child.name), "is the same member as %s: expected one of them", quote(first.name))
			continue
		}
		m.left[name] = child
		m.order = append(m.order, name)
	}
	return m
}

// fold makes every spelling of a name the same.
func fold(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

func (m *members) path(name string) string {
	if m.member {
		return m.at + "." + name
	}
	return m.at + name
}

// take returns the member of the first of the names that is there.
func (m *members) take(names ...string) (v value, at string, ok bool) {
	for _, name := range names {
		if child, found := m.left[fold(name)]; found {
			delete(m.left, fold(name))
			return child.value, m.path(child.name), true
		}
	}
	return value{}, m.path(names[0]), false
}

// text is a string member, "" when it is not there.
func (m *members) text(names ...string) string {
	v, at, ok := m.take(names...)
	if !ok {
		return ""
	}
	if v.kind != text {
		m.found.add(m.code, at, "expected a string, got %v", v.kind)
		return ""
	}
	return v.text
}

// version is a string member that may be written as a number.
func (m *members) version(name string) string {
	if child, ok := m.left[fold(name)]; ok && child.kind == number {
		m.take(name)
		return child.text
	}
	return m.text(name)
}

// port is a port number, 0 when there is none.
func (m *members) port() int {
	v, at, ok := m.take("port")
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(v.text, 10, 16)
	if v.kind != number || err != nil || n == 0 {
		m.found.add(m.code, at, "expected a port, a whole number from 1 to 65535")
		return 0
	}
	return int(n)
}

// object is a member that is an object; nil when it is not there.
func (m *members) object(names ...string) *members {
	v, at, ok := m.take(names...)
	if !ok {
		return nil
	}
	return m.found.open(v, at, m.code, true)
}

const unknownMember = "is not a known member"

// done reports every member that nobody asked for.
func (m *members) done() {
	for _, name := range m.order {
		if child, unknown := m.left[name]; unknown {
			m.found.add(m.code, m.path(child.name), unknownMember)
		}
	}
}
