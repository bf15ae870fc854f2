package deployment

// NewState is a deployment that cmd asks for, before anything of it is true.
func NewState(cmd Command, label string, description *string, target ModelRef) *State {
	return &State{
		Name: cmd.Name, Label: label, Description: description, Status: StatusDeploying, Target: &target,
		CreatedAt: cmd.At, CreatedBy: cmd.By, UpdatedAt: cmd.At, UpdatedBy: cmd.By,
	}
}

// RollingOut is the deployment while target is being rolled out.
func (s *State) RollingOut(status Status, target ModelRef) *State {
	shown := s.Clone()
	shown.Status, shown.Target = status, &target
	return shown
}

// Serving is the deployment once model serves. What served before is kept as
// Previous; nothing else changes (datarobot.md R17).
func (s *State) Serving(cmd Command, model ModelRef) *State {
	after := s.Clone()
	if after.Model != nil && after.Model.ID != model.ID {
		after.Previous = after.Model
	}
	after.Model, after.Target, after.Status, after.LastFailure = &model, nil, StatusActive, nil
	after.Generation++
	after.touch(cmd)
	return after
}
