package deployment

// NewState is a deployment that cmd asks for, before anything of it is true.
func NewState(cmd Command, label string, description *string) *State {
	return &State{
		Name: cmd.Name, Label: label, Description: description, Status: StatusDeploying,
		CreatedAt: cmd.At, CreatedBy: cmd.By, UpdatedAt: cmd.At, UpdatedBy: cmd.By,
	}
}

// RollingOut is the deployment while target is being rolled out.
func (s *State) RollingOut(status Status, target ModelRef) *State {
	shown := s.Clone()
	shown.Status, shown.Target = status, &target
	return shown
}

// Going is the deployment while what it serves is being stopped or begun.
func (s *State) Going(status Status) *State {
	shown := s.Clone()
	shown.Status = status
	return shown
}

// Stopped is the deployment once it answers no predictions. Its model stays.
func (s *State) Stopped(cmd Command) *State {
	after := s.Clone()
	after.Status = StatusInactive
	after.Generation++
	after.touch(cmd)
	return after
}

// Tombstone is what stays of a deployment once it is deleted: who it was, and
// who deleted it when (datarobot.md R7). What it served is in the ledger.
func (s *State) Tombstone(cmd Command) *State {
	after := s.Clone()
	after.Status, after.Model, after.Target, after.Previous, after.LastFailure = StatusDeleted, nil, nil, nil, nil
	if s.Model != nil {
		after.Generation++
	}
	after.touch(cmd)
	at := after.UpdatedAt
	after.DeletedAt, after.DeletedBy = &at, after.UpdatedBy
	return after
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
