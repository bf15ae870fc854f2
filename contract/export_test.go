package contract

// Interrupt makes every step of a write on disk ask first.
func (f *Folder) Interrupt(ask func(step string) error) { f.interrupt = ask }
