package memstore_test

import (
	"testing"

	"openccs/store"
	"openccs/store/memstore"
	"openccs/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memstore.New() })
}
