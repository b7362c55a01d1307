// Package strict reads YAML files that people write by hand, and tells them where something is wrong.
//
// It reads less than YAML has: one document of mappings, lists and single values. Anchors, aliases, merges and tags are
// errors, and so is a name that comes twice. Values stay the text that stands in the file, for readers such as Whole and
// Duration, so that nothing is a number or a date by accident.
package strict
