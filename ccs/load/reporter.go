package load

// Reporter is told how a run goes, by one goroutine. An error ends the run.
type Reporter interface {
	// Progress says how far the set-up is, a few times a second at most.
	Progress(what string, done, total int) error
	// Sample comes about once a second, from the ramp to the drain.
	Sample(*Sample) error
	// Result comes at the end, also of a run that was interrupted, and if another reporter failed.
	Result(*Result) error
}
