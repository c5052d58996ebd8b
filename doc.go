// Package p2pnode is a peer-to-peer content-addressed network.
//
// There is no code here: the root holds the module, its documentation, and the
// test that keeps its plan (house_test.go). Programs that embed a peer import
// [github.com/p2pnode/p2pnode/node]; people use the command in cmd/p2pnode.
// ARCHITECTURE.md says where each thing lives and why.
package p2pnode
