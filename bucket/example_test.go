package bucket_test

import (
	"fmt"
	"time"

	"github.com/noriahq/noria/bucket"
)

// A store with one partition, asked three times for one key.
func ExampleStore() {
	store, err := bucket.NewStore(bucket.StoreConfig{Partitions: 1})
	if err != nil {
		panic(err)
	}
	limit, err := bucket.ParseLimit("2/s")
	if err != nil {
		panic(err)
	}
	now := bucket.Instant(0) // in a program: bucket.Instant(time.Since(start))
	for range 3 {
		d, err := store.Take(now, 0, &bucket.Request{Key: "user:42", Limit: limit, Cost: 1})
		if err != nil {
			panic(err)
		}
		fmt.Println(d.Allowed, d.Remaining, d.RetryAfter)
	}
	// Output:
	// true 1 0s
	// true 0 0s
	// false 0 500ms
}

// A request that meets two limits is charged for both or for none.
func ExampleStore_TakeAll() {
	store, err := bucket.NewStore(bucket.StoreConfig{Partitions: 1})
	if err != nil {
		panic(err)
	}
	user := bucket.Limit{Tokens: 10, Per: time.Second, Burst: 10}
	all := bucket.Limit{Burst: 1}
	for range 2 {
		items := []bucket.Item{
			{Request: &bucket.Request{Key: "user:42", Limit: user, Cost: 1}},
			{Request: &bucket.Request{Key: "everybody", Limit: all, Cost: 1}},
		}
		if _, err := store.TakeAll(0, items, false); err != nil {
			panic(err)
		}
		fmt.Println(items[0].Decision.Allowed, items[1].Decision.Allowed)
	}
	d, err := store.Take(0, 0, &bucket.Request{Key: "user:42", Limit: user})
	if err != nil {
		panic(err)
	}
	fmt.Println(d.Remaining, "remain of user:42")
	// Output:
	// true true
	// true false
	// 9 remain of user:42
}

// A bucket of one's own, without a store.
func ExampleBucket() {
	plan, err := bucket.NewPlan(bucket.Limit{Tokens: 100, Per: time.Second, Burst: 200}, time.Unix(0, 0))
	if err != nil {
		panic(err)
	}
	var b bucket.Bucket
	fmt.Println(b.Take(0, plan, 150).Allowed, b.Take(0, plan, 150).RetryAfter)
	// Output:
	// true 1s
}
