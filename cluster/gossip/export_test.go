package gossip

// NameOf is what memberlist calls a node.
var NameOf = nameOf
