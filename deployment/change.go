package deployment

import "reflect"

// Changed is the deployment after a change that cmd asks for and that is true as
// soon as it is said. It is s itself, and changed is false, when change leaves
// everything as it was.
func (s *State) Changed(cmd Command, change func(*State)) (after *State, changed bool) {
	after = s.Clone()
	change(after)
	if reflect.DeepEqual(s, after) {
		return s, false
	}
	after.touch(cmd)
	return after, true
}
