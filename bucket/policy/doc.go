// Package policy says which limits a request meets, under which keys. It reads the rules from YAML and is pure: it knows
// no network, opens no files and reads no clock.
//
// # The file
//
// This one has every field there is. All may be left out but a limit's amount, and what a section that is there cannot do
// without. An unknown field, a name that comes twice, an anchor or a tag is an error, and all errors are told at once. The
// file noria.schema.json beside this package tells editors the same.
//
//	trusted_proxies: [10.0.0.0/8, fd00::/8] # whose X-Forwarded-For is believed
//	ipv6_bits: 64                           # of an IPv6 address are one client
//
//	identities:                # in this order; the first that a request carries counts
//	  keys:                    # API keys, by their SHA-256
//	    file: /etc/noria/keys.yaml
//	    header: X-Api-Key      # without this: Authorization: Bearer, and X-Api-Key
//	  jwt:
//	    header: Authorization
//	    jwks_url: https://login.example.com/jwks.json # or jwks_file: PATH
//	    refresh: 5m
//	    issuer: https://login.example.com/
//	    audience: [api, chat]
//	    algorithms: [RS256, ES256, EdDSA]
//	    id_claim: sub
//	    tier_claim: plan.name  # {"plan": {"name": "pro"}}
//	    org_claim: org
//	    leeway: 30s
//	  header:                  # of a proxy that has checked who it is, one of trusted_proxies
//	    id: X-User
//	    tier: X-Tier
//	    org: X-Org
//	  anonymous_tier: anonymous
//
//	limits:
//	  ip:
//	    key: client.ip
//	    limit: 50/s burst 100
//	  user:
//	    unit: requests
//	    key: [identity.id, route]
//	    tiers:
//	      free: 20/m
//	      pro: 600/m burst 100
//	      enterprise: unlimited
//	      default: 5/m
//	    on_lost: share
//	    durability: async
//	    cold_start: full
//	    shadow: false
//	    when: method == "POST" && !path.startsWith("/v1/models")
//	  global:
//	    limit: 500/s queue 1000
//	  tokens:
//	    unit: llm_tokens
//	    key: [identity.org, model]
//	    limit: 100000/m
//	    durability: sync
//	  slots:
//	    unit: concurrency
//	    key: identity.id
//	    tiers: {free: 2, default: 20}
//
//	routes:
//	  chat:
//	    kind: openai
//	    hosts: [api.example.com, "*.ai.example.com"]
//	    path: /v1
//	    methods: [POST, GET]
//	    upstreams: [http://10.1.0.1:8000, http://10.1.0.2:8000]
//	    limits: [ip, user, global, tokens, slots]
//	    headers: {Authorization: Bearer sk-upstream} # or NORIA_ROUTES_CHAT_HEADERS_AUTHORIZATION
//	    retries: 1
//	    timeout: 10m
//	    read_timeout: 1m
//	    idle_timeout: 5m
//	    max_header: 32KiB
//	    max_body: 10MiB
//	    health:
//	      path: /healthz
//	      interval: 5s
//	      timeout: 2s
//	    queue:
//	      wait: 30s
//	      requests: 1000
//	    llm:
//	      default_max_tokens: 1024
//	      chars_per_token: 4
//	      tokenizer: chars
//	      weights:
//	        default: {input: 1, output: 4, cached: 0.1}
//	        gpt-4*: {input: 10, output: 30}
//
// # Limits
//
// The unit says what a limit counts: requests, llm_tokens (of routes of kind openai or anthropic), concurrency (requests
// under way at once, written as a number), or bytes of bodies. How much there is stands in limit, in the grammar of
// bucket.ParseLimit, or in tiers, by the tier of the caller.
//
// A tier that tiers does not name has what default says there. Without a default it has the least of all tiers: what gives
// fewest tokens in the long run, of those the smallest burst. So a tier that is misspelled, or that a token has and nobody
// here thought of, is never unlimited; nor may default be. A tier that is "unlimited" does not meet the limit at all.
//
// shadow limits decide, count and tell, and refuse nothing.
//
// # Keys
//
// A limit has one bucket for each key, and the key is made of these parts, 8 at most; without any there is one bucket for
// all:
//
//	client.ip                 the client's address; of IPv6 the first ipv6_bits
//	identity.id               who the caller is
//	identity.tier             the caller's tier
//	identity.org              the caller's organisation
//	identity.attributes.NAME  a free attribute of the caller's key
//	header.NAME               the hash of a header, for values are often secrets
//	host, method, path        of the request: without the port, and without . and .. and //
//	route                     the route's name
//	model                     what the body of the request asks for
//	const.TEXT                TEXT
//
// For what a request does not have, an anonymous caller's id for instance or a header that is missing, empty or there twice,
// the client's address stands in: who leaves it out gets no bucket of somebody else. Only a tier and a model may be empty.
//
// A key is the limit's name and its parts, each behind its length and a sign that says what it is: the value (:), its hash
// where it is longer than 48 bytes or no UTF-8 (#), the address that stands in (@), or nothing (-). So no two lists of values have one
// key. A limit by tiers whose key has neither identity.id nor identity.tier gets the tier that answers as its last part: one bucket cannot
// have two limits. With identity.id it does not, so that a caller who changes tiers keeps what the bucket owes.
//
// # Conditions
//
// when is a condition in CEL (https://cel.dev) over the attributes client.ip, identity.id, identity.tier, identity.org,
// identity.anonymous, identity.attributes, header, host, method, path, route and model. All are texts but
// identity.anonymous, which is true or false, and identity.attributes and header, which are maps of texts to texts; headers
// have their names in small letters. What a map does not have is "", so
//
//	when: identity.attributes["beta"] == "yes" || header["x-priority"] != "batch"
//
// needs no test before it. A condition is compiled once and takes 10,000 steps at most; one that cannot be decided counts as
// true.
//
// # Routes
//
// A request takes the route for its host, before one for all hosts below a domain, before one for all hosts; among these the
// one with the longest path, which is for all below it too; and then one that names its method. Two routes that are for
// the same requests are an error.
//
// weights are in the limit's tokens for each token of a model: with output: 4 an answer of 100 tokens takes 400. A model has the
// weights under its name, or under the longest name with * at its end that it begins with, or under default; or 1.
//
// # Environment variables
//
// Every field can be set by the environment, which overrules the file: the names that lead to it, joined by _, in capitals,
// with _ for all that is neither letter nor digit, behind NORIA_:
//
//	NORIA_LIMITS_USER_TIERS_PRO=900/m
//	NORIA_ROUTES_CHAT_UPSTREAMS=http://10.1.0.3:8000,http://10.1.0.4:8000
//	NORIA_ROUTES_CHAT_LLM_WEIGHTS_GPT_4__OUTPUT=20
//	NORIA_IPV6_BITS=56
//
// Lists have commas between their values, and replace the file's. An empty variable is none. Limits, routes, tiers and models
// have to be in the file: a variable cannot add one, because it would not tell how to write its name. What names nothing
// is an error, and so is a variable that two fields share; what is wrong in the file is one even where a variable overrules it.
package policy
