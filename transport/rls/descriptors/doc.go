// Package descriptors says which limit of a domain a descriptor meets, by the configuration of Envoy's ratelimit service.
//
// A file has one domain and a tree of descriptors, each with a key, and with a value or none:
//
//	domain: messaging
//	algorithm: fixed_window          # ours; without it buckets that fill steadily
//	descriptors:
//	  - key: message_type
//	    value: marketing
//	    descriptors:
//	      - key: to_number
//	        rate_limit: {unit: day, requests_per_unit: 5}
//	  - key: path
//	    value: /files/*
//	    share_threshold: true
//	    rate_limit: {unit: minute, requests_per_unit: 100}
//
// A request's descriptor is a list of entries, and walks down the tree: for each entry there is the descriptor with its key
// and value, or else the first in the file with its key and a value with * that fits, or else the one with its key alone.
// There is no way back up. It meets the limit of the descriptor that it arrives at with its last entry; if there is none it
// meets no limit. Each different list of entries has a bucket of its own, but that values which fit a * with
// share_threshold are the same.
//
// Nothing here asks anybody or reads a clock or a file.
package descriptors
