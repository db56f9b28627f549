// Package edge is what runs of the shield at the edge: the answer to each DNS
// question, the warning page, and the counters. It works from its last good
// copy and never asks the desk per query.
package edge
