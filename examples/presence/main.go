// Command presence shows who is here and where everybody's cursor is, as editors do for those who
// write the same text.
//
// All of it is gossip: each node says now and then where it is, and whoever was not heard for a
// while is gone. Nothing is stored, nothing is merged, and what was lost is said again. That is
// right for what nobody wants to know tomorrow, and wrong for all else: see the other examples.
// Messages are signed, so nobody speaks for another node; names are what each chooses.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"time"

	"github.com/p2pnode/p2pnode/node"
)

func main() {
	if err := run(context.Background(), os.Stdout, 2*time.Second); err != nil {
		log.Fatal(err)
	}
}

// run tells the story of three people, who forget each other after ttl.
func run(ctx context.Context, out io.Writer, ttl time.Duration) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var nodes []*node.Node
	var rooms []*Room
	for _, name := range []string{"Ann", "Bob", "Cem"} {
		n, err := node.Open(ctx, node.Options{Network: "presence", Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoMDNS: true})
		if err != nil {
			return err
		}
		defer n.Close()
		if len(nodes) > 0 {
			if err := n.Connect(ctx, nodes[0].Addrs()[0]); err != nil {
				return err
			}
		}
		room, err := Enter(n.Gossip(), name, ttl)
		if err != nil {
			return err
		}
		defer room.Leave()
		nodes, rooms = append(nodes, n), append(rooms, room)
	}
	ann, bob, cem := rooms[0], rooms[1], rooms[2]

	show := func(what string, r *Room, want ...Person) error {
		people, err := r.Await(ctx, func(people []Person) bool { return slices.Equal(people, want) })
		fmt.Fprintf(out, "%s\n  here: %v\n", what, people)
		return err
	}
	if err := show("All come in; Cem sees", cem, Person{"Ann", 0}, Person{"Bob", 0}, Person{"Cem", 0}); err != nil {
		return err
	}
	if err := errors.Join(bob.Move(ctx, 42), ann.Move(ctx, 7)); err != nil {
		return err
	}
	if err := show("Bob and Ann move their cursors; Cem sees", cem, Person{"Ann", 7}, Person{"Bob", 42}, Person{"Cem", 0}); err != nil {
		return err
	}
	if err := bob.Leave(); err != nil {
		return err
	}
	if err := show("Bob says goodbye; Ann sees", ann, Person{"Ann", 7}, Person{"Cem", 0}); err != nil {
		return err
	}
	if err := nodes[2].Close(); err != nil {
		return err
	}
	return show(fmt.Sprintf("Cem's node dies; after %v Ann sees", ttl), ann, Person{"Ann", 7})
}
