package diskstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := diskstore.Open(dir, diskstore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	ctx, now := context.Background(), time.Now()
	phone := store.Key{Kind: store.KindDevice, ID: 4611686018427387904}
	_, err = s.Put(ctx, []store.Entry{
		{Key: phone, Rank: store.RankNormal, Accepted: now, Expires: now.Add(time.Hour), Body: []byte("later")},
		{Key: phone, Rank: store.RankHigh, Accepted: now, Expires: now.Add(time.Hour), Body: []byte("first")},
	}, now)
	if err != nil {
		log.Fatal(err)
	}
	entries, err := s.Claim(ctx, phone, 1, 10, now)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range entries {
		fmt.Printf("%s %s\n", e.Key, e.Body)
	}
	// Output:
	// d:4611686018427387904 first
	// d:4611686018427387904 later
}
