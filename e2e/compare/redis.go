package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
)

// A redisServer is a Redis without persistence on a free port of this machine.
type redisServer struct {
	*process
	addr   string
	client *redis.Client
}

// startRedis runs the redis-server at path.
func startRedis(ctx context.Context, path string) (*redisServer, error) {
	addrs, err := freeAddrs(1)
	if err != nil {
		return nil, err
	}
	addr := addrs[0]
	_, port, _ := net.SplitHostPort(addr) // an address of a listener always has one
	p, err := start(path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", os.TempDir())
	if err != nil {
		return nil, err
	}
	s := &redisServer{process: p, addr: addr, client: redisClient(addr)}
	if err := s.wait(ctx); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// redisClient returns a client with connections for all callers.
func redisClient(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, PoolSize: 2 * manyCallers})
}

// wait returns when s answers.
func (s *redisServer) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := s.client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-s.ended:
			return s.complaint("it ended")
		case <-ctx.Done():
			return s.complaint(err.Error())
		}
	}
}

// version returns the version of s.
func (s *redisServer) version(ctx context.Context) string {
	info, err := s.client.Info(ctx, "server").Result()
	if err != nil {
		return "unknown"
	}
	_, after, _ := strings.Cut(info, "redis_version:")
	version, _, _ := strings.Cut(after, "\r\n")
	return version
}

// end ends s.
func (s *redisServer) end() {
	_ = s.client.Close() // nothing is under way
	s.process.end()
}

// libraryAsk is an asker by redis_rate.
func (s *redisServer) libraryAsk(_ int, l limit) ask {
	allowance := redis_rate.Limit{Rate: 1, Period: l.every, Burst: l.burst}
	of := redis_rate.NewLimiter(s.client)
	return func(ctx context.Context, key string) (bool, error) {
		r, err := of.Allow(ctx, key, allowance)
		if err != nil {
			return false, err
		}
		return r.Allowed == 1, nil
	}
}

// findRedis returns the path of a redis-server: what the flag -redis says, else the one on the PATH, else one that is
// installed now if this is root on Debian. The error says why there is none.
func findRedis(ctx context.Context, flag string, say func(string, ...any)) (string, error) {
	switch flag {
	case "none":
		return "", errors.New("-redis is none")
	case "auto":
	default:
		return exec.LookPath(flag)
	}
	if path, err := exec.LookPath("redis-server"); err == nil {
		return path, nil
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return "", errors.New("there is no redis-server on the PATH, and only root on Debian could install one")
	}
	say("installing the package redis-server")
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", "redis-server"}} {
		cmd := exec.CommandContext(ctx, apt, append([]string{"-qq"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1") // without a daemon of its own
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	return exec.LookPath("redis-server")
}
