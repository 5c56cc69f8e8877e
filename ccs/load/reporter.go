package load

// Reporter gets the progress and results of a run, from one goroutine. An error ends the run.
type Reporter interface {
	// Progress is called with the progress of the set-up, a few times a second at most.
	Progress(what string, done, total int) error
	// Sample is called about once a second, from the ramp to the drain.
	Sample(*Sample) error
	// Result is called at the end, also if the run was interrupted or another reporter failed.
	Result(*Result) error
}
