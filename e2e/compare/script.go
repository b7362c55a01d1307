package main

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// gcra is the generic cell rate algorithm as people write it for Redis by hand: one key, one round trip, Redis' clock.
//
//go:embed gcra.lua
var gcra string

// scriptAsk is an asker by a script of our own, with EVALSHA.
func (s *redisServer) scriptAsk(_ int, l limit) ask {
	script := redis.NewScript(gcra)
	return func(ctx context.Context, key string) (bool, error) {
		answer, err := script.Run(ctx, s.client, []string{"gcra:" + key}, l.every.Microseconds(), l.burst, 1).Int64Slice()
		switch {
		case err != nil:
			return false, err
		case len(answer) != 3:
			return false, fmt.Errorf("the script answers %d numbers, want 3", len(answer))
		}
		return answer[0] == 1, nil
	}
}
