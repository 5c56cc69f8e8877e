// Package pages makes the sequence that store.Movable's Dump returns, one record after the other.
package pages

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/openccs/openccs/store"
)

// Writer gathers records into pages. It belongs to one goroutine.
type Writer struct {
	*store.Page // the one that is being filled

	ctx   context.Context
	yield func(*store.Page, error) bool
	ended error // why no more pages may be handed over, nil while they may
}

// errEnough says that the caller of Dump wants no more pages.
var errEnough = errors.New("no more pages wanted")

// Of is the pages that fill writes. It has an error of fill's as its end.
func Of(ctx context.Context, fill func(w *Writer) error) iter.Seq2[*store.Page, error] {
	return func(yield func(*store.Page, error) bool) {
		w := &Writer{Page: &store.Page{}, ctx: ctx, yield: yield}
		err := fill(w)
		if err == nil {
			err = w.turn()
		}
		if err != nil && w.ended != errEnough {
			yield(nil, fmt.Errorf("dump: %w", err))
		}
	}
}

// Room makes room for one more record: a full page is handed over. An error ends the dump.
func (w *Writer) Room() error {
	if w.Len() < store.PageSize {
		return nil
	}
	if err := w.turn(); err != nil {
		return err
	}
	w.ended = w.ctx.Err()
	return w.ended
}

// turn hands the page over and begins another. After the first error there is no other: the loop over the pages has
// ended, and a call of its body would panic.
func (w *Writer) turn() error {
	if w.ended != nil {
		return w.ended
	}
	if !w.yield(w.Page, nil) {
		w.ended = errEnough
		return w.ended
	}
	w.Page = &store.Page{Seq: w.Seq, Next: w.Next}
	return nil
}
