package cluster

import "github.com/openccs/openccs/store"

// MaxHints is how many hints may wait for a node.
const MaxHints = maxHints

// Self returns the ID of the node.
func (c *Cluster) Self() store.NodeID { return c.self() }
