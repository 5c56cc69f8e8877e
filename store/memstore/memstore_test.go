package memstore_test

import (
	"testing"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
	"github.com/openccs/openccs/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memstore.New() })
}

func TestNodes(t *testing.T) {
	storetest.RunNodes(t, func(*testing.T) func() storetest.Shared {
		shared := memstore.Share(memstore.New())
		return func() storetest.Shared { return shared.Node() }
	})
}
