package main

import "fmt"

// serviceTargets are those about whole services.
func (rs *results) serviceTargets() []target {
	inside, redis := rs.many(noriaInside(3)), rs.many(redisRate)
	public, other := rs.many(noriaPublic(3)), rs.many(gubernatorBatching(3))
	local := rs.remote(remoteCase{noriaInside(3), heldHere, manyCallers})
	lent := rs.remote(remoteCase{noriaInside(3), hot, manyCallers})
	alone := rs.remote(remoteCase{noriaInside(3), hotAlone, manyCallers})
	at := "3 nodes, random keys, 64 callers: "
	all := []target{
		{what: "Node.Check, " + at + "throughput of redis_rate", bound: 5, unit: "×", measured: inside.PerSecond.over(redis.PerSecond)},
		{what: "Node.Check, " + at + "p99 of redis_rate", bound: 1, most: true, unit: "×", measured: inside.P99.over(redis.P99)},
		{what: "Node.Check, " + at + "processor time of redis_rate", bound: 0.1, most: true, unit: "×", measured: inside.CPU.over(redis.CPU)},
		{what: "public gRPC, " + at + "throughput of Gubernator", bound: 2, unit: "×", measured: public.PerSecond.over(other.PerSecond)},
		{what: "public gRPC, " + at + "processor time of Gubernator", bound: 0.5, most: true, unit: "×", measured: public.CPU.over(other.CPU)},
		{
			what:  "Node.Check, 3 nodes, one hot key, 64 callers: throughput of the slowest node beside the slowest with local keys",
			bound: 0.5, unit: "×", measured: lent.Slowest.over(local.Slowest),
		},
		{
			what:  "Node.Check, 3 nodes, one hot key, 64 callers: throughput of the slowest node beside the slowest where it is never lent",
			bound: 20, unit: "×", measured: lent.Slowest.over(alone.Slowest),
		},
		{
			what:  "Node.Check, 3 nodes, one hot key, 64 callers: throughput of all nodes, the holder among them, where it is never lent",
			bound: 20, unit: "×", measured: lent.PerSecond.over(alone.PerSecond),
		},
	}
	for _, who := range []string{noriaInside(1), noriaInside(3), noriaPublic(3)} {
		all = append(all, target{
			what:  fmt.Sprintf("%s, one key far over its limit: admitted of what the limit allows", who),
			bound: 1, most: true, unit: "×", measured: rs.remote(remoteCase{who, over, manyCallers}).Excess,
		})
	}
	return all
}

// many returns what is known of who with random keys and many callers.
func (rs *results) many(who string) *remote { return rs.remote(remoteCase{who, spread, manyCallers}) }
