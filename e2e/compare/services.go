package main

import (
	"context"
	"fmt"
)

// The names of ways that targets speak of.
const (
	redisRate  = "go-redis/redis_rate on Redis"
	redisGCRA  = "GCRA in Lua on Redis"
	envoyShape = "Go service shaped like Envoy's ratelimit, on Redis"
	forwarded  = "Noria: Node.Check, key held by another node"
	publicGRPC = "Noria: public gRPC API, key held there"
	bareUnary  = "gRPC alone: empty unary service"
	bareTalk   = "gRPC alone: bare stream, message by message"
	bareBatch  = "gRPC alone: bare stream, batched"
)

// noriaInside is how Noria's nodes are asked from inside.
func noriaInside(nodes int) string { return fmt.Sprintf("Noria, %s: Node.Check", fleetOf(nodes)) }

// noriaPublic is how they are asked by any client of their public API.
func noriaPublic(nodes int) string {
	return fmt.Sprintf("Noria, %s: public gRPC API, one item", fleetOf(nodes))
}

// noriaClient is how they are asked by Noria's own client.
func noriaClient(nodes int) string { return fmt.Sprintf("Noria, %s: transport/client", fleetOf(nodes)) }

// gubernatorBatching is how Gubernator is asked with its default behaviour.
func gubernatorBatching(nodes int) string {
	return fmt.Sprintf("Gubernator %s, %s", gubernatorVersion, fleetOf(nodes))
}

// gubernatorGlobal is how it is asked where each node may answer by what it heard last.
func gubernatorGlobal(nodes int) string { return gubernatorBatching(nodes) + ": GLOBAL, inexact" }

// fleetOf returns n nodes in words.
func fleetOf(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// readOrder returns the names of all ways, in the order in which people read them.
func readOrder() []string {
	return []string{
		noriaInside(1), noriaInside(3), noriaClient(3), noriaPublic(1), noriaPublic(3),
		redisRate, redisGCRA, envoyShape, gubernatorBatching(1), gubernatorBatching(3), gubernatorGlobal(3),
	}
}

// fleets are the numbers of nodes of those services that have several.
func fleets() []int { return []int{1, 3} }

// addFleets adds Noria, asked from inside.
func (rs *remotes) addFleets(r *run) {
	for _, n := range fleets() {
		rs.add(func(ctx context.Context) ([]way, func(), error) {
			f, err := startFleet(ctx, n)
			if err != nil {
				return nil, nil, err
			}
			if err := f.prime(ctx, r.options.remoteKeys); err != nil {
				f.end()
				return nil, nil, err
			}
			js := usual()
			if n > 1 {
				js = append(js, jobs(heldHere, manyCallers)...)
				js = append(js, jobs(hotAlone, manyCallers)...)
			}
			return []way{{name: noriaInside(n), jobs: js, load: f.load}}, f.end, nil
		}, noriaInside(n))
	}
}

// addServed adds Noria, asked by gRPC.
func (rs *remotes) addServed(ctx context.Context, r *run, dir string) {
	if !r.wanted(noriaPublic(1), noriaPublic(3), noriaClient(3), forwarded, publicGRPC) {
		return
	}
	r.say("building noria")
	binary, err := buildNoria(ctx, dir)
	r.skip("all of Noria that is asked by gRPC", err)
	if err != nil {
		return
	}
	r.binary = binary
	rs.add(func(ctx context.Context) ([]way, func(), error) {
		p, err := startPair(ctx, binary, r.options.remoteKeys)
		if err != nil {
			return nil, nil, err
		}
		return p.ways(), p.end, nil
	}, forwarded, publicGRPC)
	for _, n := range fleets() {
		names := []string{noriaPublic(n)}
		if n > 1 {
			names = append(names, noriaClient(n))
		}
		rs.add(func(ctx context.Context) ([]way, func(), error) { return rs.openServed(ctx, binary, n) }, names...)
	}
}

func (rs *remotes) openServed(ctx context.Context, binary string, n int) ([]way, func(), error) {
	s, err := startServed(ctx, binary, n)
	if err != nil {
		return nil, nil, err
	}
	if err := prime(ctx, s.ask, plenty(), rs.keys); err != nil {
		s.end()
		return nil, nil, err
	}
	ways := []way{asked(noriaPublic(n), usual(), s.ask, rs.keys, s.pids()...)}
	if n == 1 {
		return ways, s.end, nil
	}
	ask, end, err := s.clients()
	if err != nil {
		s.end()
		return nil, nil, err
	}
	ways = append(ways, asked(noriaClient(n), usual(), ask, rs.keys, s.pids()...))
	return ways, func() { end(); s.end() }, nil
}

// addRedis adds what is asked over a Redis, which runs all the time.
func (rs *remotes) addRedis(ctx context.Context, r *run) {
	if !r.wanted(redisRate, redisGCRA, envoyShape) {
		return
	}
	path, err := findRedis(ctx, r.options.redis, r.say)
	var s *redisServer
	if err == nil {
		s, err = startRedis(ctx, path)
	}
	r.skip(redisRate+"; "+redisGCRA+"; "+envoyShape, err)
	if err != nil {
		return
	}
	r.results.Redis = s.version(ctx)
	rs.ends = append(rs.ends, s.end)
	for name, a := range map[string]asker{redisRate: s.libraryAsk, redisGCRA: s.scriptAsk} {
		rs.add(func(ctx context.Context) ([]way, func(), error) {
			return []way{asked(name, usual(), a, rs.keys, s.pid())}, func() {}, prime(ctx, a, plenty(), rs.keys)
		}, name)
	}
	rs.add(func(ctx context.Context) ([]way, func(), error) {
		e, err := startEnvoy(ctx, s.addr)
		if err != nil {
			return nil, nil, err
		}
		if err := prime(ctx, e.ask, plenty(), rs.keys); err != nil {
			e.end()
			return nil, nil, err
		}
		return []way{asked(envoyShape, usual(), e.ask, rs.keys, s.pid(), e.pid())}, e.end, nil
	}, envoyShape)
}

// addGubernator adds Gubernator.
func (rs *remotes) addGubernator(ctx context.Context, r *run, dir string) {
	if !r.wanted(gubernatorBatching(1), gubernatorBatching(3), gubernatorGlobal(3)) {
		return
	}
	r.say("building gubernator, which takes minutes the first time")
	binary, err := buildGubernator(ctx, dir)
	r.skip("Gubernator", err)
	if err != nil {
		return
	}
	for _, n := range fleets() {
		rs.add(func(ctx context.Context) ([]way, func(), error) {
			g, err := startGubernators(ctx, binary, n)
			if err != nil {
				return nil, nil, err
			}
			if err := prime(ctx, g.asker(batching), plenty(), rs.keys); err != nil {
				g.end()
				return nil, nil, err
			}
			return g.ways(n, rs.keys), g.end, nil
		}, gubernatorBatching(n), gubernatorGlobal(n))
	}
}

// ways returns how n daemons are asked.
func (g *gubernators) ways(n int, keys []string) []way {
	ways := []way{asked(gubernatorBatching(n), usual(), g.asker(batching), keys, g.pids()...)}
	if n > 1 {
		js := append(jobs(hot, manyCallers), jobs(over, manyCallers)...)
		ways = append(ways, asked(gubernatorGlobal(n), js, g.asker(global), keys, g.pids()...))
	}
	return ways
}

// addBare adds gRPC by itself.
func (rs *remotes) addBare() {
	rs.add(func(ctx context.Context) ([]way, func(), error) {
		b, err := startBare(ctx)
		if err != nil {
			return nil, nil, err
		}
		ways, err := b.addrs.ways(ctx, rs.keys, b.pid())
		return ways, b.kill, err
	}, bareUnary, bareTalk, bareBatch)
}

// add adds a service, with the names of its ways.
func (rs *remotes) add(open func(context.Context) ([]way, func(), error), names ...string) {
	rs.services = append(rs.services, service{names: names, open: open})
}
