package store

import "fmt"

// PartialError says that a store did a part of a call and failed at the rest, because it keeps its
// records in several places. A caller that does not know the type must treat the whole call as
// failed.
type PartialError struct {
	Errs []error // by the index of the item in the call; nil for an item that succeeded
}

// Of returns the error of an item. For a nil PartialError it returns nil.
func (e *PartialError) Of(i int) error {
	if e == nil {
		return nil
	}
	return e.Errs[i]
}

// Error returns the number of failed items and the first error.
func (e *PartialError) Error() string {
	n := 0
	for _, err := range e.Errs {
		if err != nil {
			n++
		}
	}
	return fmt.Sprintf("%d of %d failed: %v", n, len(e.Errs), e.Unwrap())
}

// Unwrap returns the error of the first failed item.
func (e *PartialError) Unwrap() error {
	for _, err := range e.Errs {
		if err != nil {
			return err
		}
	}
	return nil
}
