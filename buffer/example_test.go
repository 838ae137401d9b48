package buffer_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/plantgate/plantgate/buffer"
)

// One side appends and answers its client when the record is durable; the other
// one reads, sends and confirms.
func Example() {
	dir, err := os.MkdirTemp("", "buffer")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	b, err := buffer.Open(dir, buffer.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go b.Run(ctx, func() {})

	last, err := b.Append(ctx, []byte("power 123 W"), []byte("power 124 W"))
	if err != nil {
		log.Fatal(err)
	}
	if err := b.Wait(ctx, last); err != nil {
		log.Fatal(err)
	}
	fmt.Println("acknowledged", last)

	confirmed, _ := b.Confirmed()
	w, err := b.Read(confirmed+1, 1000, 1<<20)
	if err != nil {
		log.Fatal(err)
	}
	for i, r := range w.Records {
		fmt.Println(w.First+uint64(i), string(r))
	}
	if err := b.Confirm(w.First+uint64(len(w.Records))-1, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println("unsent", b.Stats().Unsent)
	// Output:
	// acknowledged 2
	// 1 power 123 W
	// 2 power 124 W
	// unsent 0
}
