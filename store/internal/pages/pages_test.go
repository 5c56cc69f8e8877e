package pages_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/pages"
)

// A fill that continues after an error of Room yields nothing more.
func TestNothingIsHandedOverAfterTheEnd(t *testing.T) {
	fill := func(w *pages.Writer) (err error) {
		for range 3 * store.PageSize {
			err = errors.Join(err, w.Room())
			w.Secrets = append(w.Secrets, store.Secret{})
		}
		return err
	}
	n := 0
	for range pages.Of(t.Context(), fill) {
		n++
		break
	}
	assert.Equal(t, 1, n, "the loop was left")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errs []error
	for _, err := range pages.Of(ctx, fill) {
		cancel()
		errs = append(errs, err)
	}
	if assert.Len(t, errs, 2, "a page and why there is no other") {
		assert.NoError(t, errs[0])
		assert.ErrorIs(t, errs[1], context.Canceled)
	}
}
