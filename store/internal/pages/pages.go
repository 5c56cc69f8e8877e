// Package pages makes the sequence of pages that Dump of store.Movable returns.
package pages

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/openccs/openccs/store"
)

// Writer collects records into pages. It belongs to one goroutine.
type Writer struct {
	*store.Page // the page that is being filled

	ctx   context.Context
	yield func(*store.Page, error) bool
	ended error // why no more pages may be yielded; nil while they may
}

// errEnough says that the caller of Dump wants no more pages.
var errEnough = errors.New("no more pages wanted")

// Of returns the sequence of pages that fill writes. An error of fill ends the sequence.
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

// Room makes room for one more record: it yields a full page. An error ends the dump.
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

// turn yields the page and begins another. After the first error it yields nothing. The loop over
// the pages has ended, and a call of its body would panic.
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
