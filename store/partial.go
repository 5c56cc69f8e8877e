package store

import "fmt"

// PartialError says that a store, which keeps its records in several places, did a part of what it was asked and
// failed at the rest. A caller that does not know the type takes all of the call for failed.
type PartialError struct {
	Errs []error // by the index that the item had in the call; nil for an item that was dealt with
}

// Of is the error of an item. That of no PartialError is nil.
func (e *PartialError) Of(i int) error {
	if e == nil {
		return nil
	}
	return e.Errs[i]
}

// Error counts the items that failed and says why the first did.
func (e *PartialError) Error() string {
	n := 0
	for _, err := range e.Errs {
		if err != nil {
			n++
		}
	}
	return fmt.Sprintf("%d of %d failed: %v", n, len(e.Errs), e.Unwrap())
}

// Unwrap is the error of the first item that failed.
func (e *PartialError) Unwrap() error {
	for _, err := range e.Errs {
		if err != nil {
			return err
		}
	}
	return nil
}
