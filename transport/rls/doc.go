// Package rls answers Envoy as its ratelimit service does, by that service's own configuration: gRPC
// envoy.service.ratelimit.v3.RateLimitService and POST /json.
//
// Put the YAML files that you have, or this one, into a folder:
//
//	domain: messaging
//	descriptors:
//	  - key: message_type
//	    value: marketing
//	    descriptors:
//	      - key: to_number
//	        rate_limit: {unit: day, requests_per_unit: 1}
//	  - key: to_number
//	    rate_limit: {unit: day, requests_per_unit: 100}
//
// and have a node, or each of several, serve them:
//
//	noria serve --rls-config DIR
//
// It says what Envoy would be told:
//
//	grpcurl -plaintext -d '{"domain":"messaging","descriptors":[{"entries":[
//	    {"key":"message_type","value":"marketing"},{"key":"to_number","value":"2061111111"}]}]}' \
//	  127.0.0.1:8081 envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit
//
//	curl -i 127.0.0.1:8083/json -d @request.json        # 200, and 429 the second time
//
//	{"overallCode": "OVER_LIMIT", "statuses": [{"code": "OVER_LIMIT", "currentLimit": {"requestsPerUnit": 1, "unit": "DAY"},
//	  "durationUntilReset": "86399.9s"}], "responseHeadersToAdd": [{"key": "Retry-After", "value": "86400"}, ...], ...}
//
// In Envoy the cluster of rate_limit_service is the address of --grpc. A file that changes is read again, also at SIGHUP;
// what is wrong is told by line and column, and the old rules stay. Package descriptors says what meets which limit.
//
// What is different from that service:
//
//   - A request that one limit denies is charged to none. Limits with shadow_mode or quota_mode deny nothing, and are charged
//     where they would not have.
//   - requests_per_unit fill steadily a bucket of that size; "algorithm: fixed_window" beside domain counts by the clock, as
//     they do. After a denial duration_until_reset is when to come back, not when all is full again.
//   - Response headers and dynamic metadata are always there, the headers those of api.WriteHeaders.
//   - is_negative_hits gives back up to what the limit has and no further, and only if no other descriptor of the request is
//     refused. Who may ask may give back: for costs that are known later noria.v1 reserves and settles what was taken.
package rls
