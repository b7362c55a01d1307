package descriptors

import (
	"encoding/json"

	"github.com/noriahq/noria/bucket/policy/strict"
)

// metadata reads what dynamic metadata have of a limit.
func (d *decoder) metadata(n *strict.Node) map[string]any {
	if n.Kind != strict.Mapping {
		d.failf(n, "metadata is %s, want a mapping", n.Is())
		return nil
	}
	made, _ := plain(n).(map[string]any)
	return made
}

// plain returns n as JSON has it: what is a number or true, false or null in JSON is that, also in quotes.
func plain(n *strict.Node) any {
	switch n.Kind {
	case strict.Mapping:
		made := make(map[string]any, len(n.Fields))
		for _, f := range n.Fields {
			made[f.Name] = plain(f.Value)
		}
		return made
	case strict.List:
		made := make([]any, len(n.Items))
		for i, item := range n.Items {
			made[i] = plain(item)
		}
		return made
	case strict.Scalar:
		return scalar(n.Text)
	default:
		return nil
	}
}

// scalar returns s as JSON has it.
func scalar(s string) any {
	var v any
	if err := json.Unmarshal([]byte(s), &v); err == nil {
		switch v.(type) {
		case float64, bool, nil:
			return v
		}
	}
	return s
}
