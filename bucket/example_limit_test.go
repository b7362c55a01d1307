package bucket_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/noriahq/noria/bucket"
)

func ExampleParseLimit() {
	l, err := bucket.ParseLimit("100/s burst 200")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Tokens, l.Per, l.Burst)

	_, err = bucket.ParseLimit("100/s brust 200")
	fmt.Println(errors.Is(err, bucket.ErrLimit))
	fmt.Println(err)
	// Output:
	// 100 1s 200
	// true
	// bad limit "100/s brust 200": column 7: unknown word "brust", did you mean "burst"?
}

func ExampleLimit_String() {
	fmt.Println(bucket.Limit{Tokens: 100, Per: time.Second, Burst: 200})
	fmt.Println(bucket.Limit{Tokens: 20, Per: time.Minute, Burst: 20, Queue: 5})
	fmt.Println(bucket.Limit{Burst: 10000, Window: bucket.Month, Zone: "Asia/Tokyo"})
	// Output:
	// 100/s burst 200
	// 20/m queue 5
	// quota 10000 per month in Asia/Tokyo
}
