package metrics

// tables returns the tables of all metrics.
func tables() [][]Metric {
	return [][]Metric{
		decisionsTable(),
		nodeTable(),
		partitionsTable(),
		bucketsTable(),
		leasesTable(),
		gossipTable(),
		peersTable(),
		policyTable(),
		gatewayTable(),
		rlsTable(),
		requestsTable(),
		overloadTable(),
		stateTable(),
	}
}

// nodeTable are the metrics of a node among nodes.
func nodeTable() []Metric {
	return []Metric{
		gauges("noria_node_info", "1, with the node's id, its role, the label of its cluster and the version of its binary.", []string{"node", "role", "cluster", "version"}, func(m *Moment, put put) {
			put(1, string(m.Node.Node), string(m.Node.Role), m.Node.Label, m.Version)
		}),
		gauge("noria_uptime_seconds", "Time since the node was started.", func(m *Moment) float64 { return m.Node.Uptime.Seconds() }),
		gauge("noria_ready", "1 if the node has joined and serves.", func(m *Moment) float64 { return truth(m.Node.Ready) }),
		gauge("noria_deciding", "1 while more than half of the holders hear the node; 0 at a gateway.", func(m *Moment) float64 { return truth(m.Node.Deciding) }),
		counter("noria_checks_degraded_total", "Checks answered without their holder, by the rule on_lost.", func(m *Moment) float64 { return float64(m.Node.Degraded) }),
		counter("noria_checks_repeated_total", "Checks denied by what their holder had said before.", func(m *Moment) float64 { return float64(m.Node.Repeated) }),
		counter("noria_checks_leased_total", "Checks admitted from tokens that holders have lent.", func(m *Moment) float64 { return float64(m.Node.Leased) }),
	}
}

// policyTable are the metrics of what the node was told to go by.
func policyTable() []Metric {
	return []Metric{
		gauge("noria_policies", "Different policies that the members go by: 1 where all agree.", func(m *Moment) float64 { return float64(m.Node.Policies) }),
		gauges("noria_policy_info", "1, with the hash of the policy that the node goes by.", []string{"hash"}, func(m *Moment, put put) {
			if m.Node.Policy != "" {
				put(1, m.Node.Policy)
			}
		}),
		counters("noria_config_reloads_total", "Times that the configuration file was read again, by what came of it: ok or refused.", []string{"result"}, func(m *Moment, put put) {
			if r := m.Reloads; r != nil {
				put(float64(r.OK), "ok")
				put(float64(r.Refused), "refused")
			}
		}),
		gauges("noria_config_stale", "1 while the configuration file says something that the node refused, so that it goes by what was there before.", nil, func(m *Moment, put put) {
			if m.Reloads != nil {
				put(truth(m.Reloads.Stale))
			}
		}),
	}
}

// gatewayTable are the metrics of the reverse proxy.
func gatewayTable() []Metric {
	of := func(of func(m *Moment) float64) func(*Moment, put) {
		return func(m *Moment, put put) {
			if m.Gateway != nil {
				put(of(m))
			}
		}
	}
	return []Metric{
		gauges("noria_gateway_held", "Reservations that requests under way hold.", nil, of(func(m *Moment) float64 { return float64(m.Gateway.Held) })),
		gauges("noria_gateway_unsettled", "Settlements that no holder has answered yet.", nil, of(func(m *Moment) float64 { return float64(m.Gateway.Unsettled) })),
		counters("noria_gateway_given_up_total", "Settlements that were given up: what was reserved stays spent.", nil, of(func(m *Moment) float64 { return float64(m.Gateway.Given) })),
	}
}

// rlsTable are the metrics of Envoy's rate limit service.
func rlsTable() []Metric {
	return []Metric{
		counters("noria_rls_hits_total", "Hits of the rate limit service, by the limit that they met and what it said: ok, over, or shadow where it let through what was over.", []string{"rule", "result"}, func(m *Moment, put put) {
			if m.RLS == nil {
				return
			}
			for _, c := range m.RLS.Counts {
				put(float64(c.Allowed), c.Rule, "ok")
				put(float64(c.Over), c.Rule, "over")
				put(float64(c.Shadowed), c.Rule, "shadow")
			}
		}),
		counters("noria_rls_reloads_total", "Times that the rules of the rate limit service were read again, by what came of it: ok or refused.", []string{"result"}, func(m *Moment, put put) {
			if m.RLS != nil {
				put(float64(m.RLS.Reloads.OK), "ok")
				put(float64(m.RLS.Reloads.Refused), "refused")
			}
		}),
		gauges("noria_rls_stale", "1 while the rules of the rate limit service say something that the node refused, so that it goes by what was there before.", nil, func(m *Moment, put put) {
			if m.RLS != nil {
				put(truth(m.RLS.Reloads.Stale))
			}
		}),
	}
}
