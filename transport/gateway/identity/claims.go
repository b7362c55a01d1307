package identity

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/noriahq/noria/bucket/policy"
)

// claimNames are where a token says who its sender is.
type claimNames struct{ id, tier, org string }

// claimNamesOf returns the names in j.
func claimNamesOf(j policy.JWT) claimNames {
	return claimNames{cmp.Or(j.IDClaim, "sub"), cmp.Or(j.TierClaim, "tier"), cmp.Or(j.OrgClaim, "org")}
}

// caller returns who claims name. There must be an id; tier and org may be missing, but not be something else than text or
// a number.
func (n claimNames) caller(claims map[string]any) (*policy.Caller, bool) {
	id, ok := claimed(claims, n.id)
	tier, tierOK := claimed(claims, n.tier)
	org, orgOK := claimed(claims, n.org)
	if !ok || !tierOK || !orgOK || id == "" {
		return nil, false
	}
	return &policy.Caller{ID: id, Tier: tier, Org: org}, true
}

// claimed returns what claims say under path, "" if nothing.
func claimed(claims map[string]any, path string) (string, bool) {
	switch v := find(claims, path).(type) {
	case nil:
		return "", true
	case string:
		return strings.Clone(v), isName(v)
	case json.Number:
		return v.String(), isName(v.String())
	}
	return "", false
}

// find returns what stands under path, whose dots lead into nested objects; nil if nothing does. Names may have dots
// themselves, as https://example.com/tier does: the longest that is there goes first.
func find(claims map[string]any, path string) any {
	if v, ok := claims[path]; ok {
		return v
	}
	for dot := strings.LastIndexByte(path, '.'); dot >= 0; dot = strings.LastIndexByte(path[:dot], '.') {
		if inner, ok := claims[path[:dot]].(map[string]any); ok {
			if v := find(inner, path[dot+1:]); v != nil {
				return v
			}
		}
	}
	return nil
}
