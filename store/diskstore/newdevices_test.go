package diskstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

// A device with a session must not be forgotten. Most logins read no note, so the store must know
// exactly which devices have one.
func TestNotesOfNewDevices(t *testing.T) {
	t.Parallel()
	ctx, now := context.Background(), time.Now()
	for name, between := range map[string]func(t *testing.T, s *diskstore.Store, dir string) *diskstore.Store{
		"at once": func(_ *testing.T, s *diskstore.Store, _ string) *diskstore.Store { return s },
		"after the store was opened again": func(t *testing.T, s *diskstore.Store, dir string) *diskstore.Store {
			require.NoError(t, s.Close())
			s, err := diskstore.Open(dir, diskstore.Options{})
			require.NoError(t, err)
			return s
		},
		"with more notes than fit into memory": func(_ *testing.T, s *diskstore.Store, _ string) *diskstore.Store {
			s.FillNewDevices()
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, err := diskstore.Open(dir, diskstore.Options{})
			require.NoError(t, err)
			note := func(device uint64) {
				require.NoError(t, s.AddNewDevice(ctx, device, now))
				_, err := s.Register(ctx, store.Registration{Token: string(rune('a' + device)), Device: device, App: "app", Senders: []string{"1"}, Created: now}, now)
				require.NoError(t, err)
			}
			note(1)
			note(2)
			s = between(t, s, dir)
			defer func() { require.NoError(t, s.Close()) }()
			note(3)
			note(4)
			for _, connected := range []uint64{1, 3, 5} {
				require.NoError(t, s.RemoveNewDevice(ctx, connected))
			}
			forgotten, err := s.ForgetNewDevices(ctx, now.Add(time.Minute), 10)
			require.NoError(t, err)
			var devices []uint64
			for _, r := range forgotten {
				devices = append(devices, r.Device)
			}
			assert.ElementsMatch(t, []uint64{2, 4}, devices)
		})
	}
}
