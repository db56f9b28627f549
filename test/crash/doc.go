// Package crash holds the tests that kill a process at every fault point; they
// need the build tag fault.
package crash
