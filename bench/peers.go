// What tasks and channels are measured beside: the same works in Go, on one processor. Reads lines `work count`,
// does the work that often, answers each line with the ns that one took.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

// A goroutine that does nothing, and the wait for it.
func spawn(count int) {
	var group sync.WaitGroup
	for i := 0; i < count; i++ {
		group.Add(1)
		go group.Done()
		group.Wait()
	}
}

// Many goroutines, and one wait.
func spawnMany(count int) {
	var group sync.WaitGroup
	for i := 0; i < count; i++ {
		group.Add(1)
		go group.Done()
	}
	group.Wait()
}

func sendMany(items chan<- int64, count int) {
	for i := 0; i < count; i++ {
		items <- int64(i)
	}
	close(items)
}

func pass(capacity, count int) {
	items := make(chan int64, capacity)
	go sendMany(items, count)
	received := 0
	for range items {
		received++
	}
	if received != count {
		panic("items were lost")
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	works := map[string]func(int){
		"spawn":      spawn,
		"spawn-many": spawnMany,
		"hand-over":  func(count int) { pass(0, count) },
		"channel":    func(count int) { pass(128, count) },
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var name string
		var count int
		fmt.Sscan(lines.Text(), &name, &count)
		work := works[name]
		if work == nil || count <= 0 {
			panic("no such work: " + lines.Text())
		}
		begun := time.Now()
		work(count)
		fmt.Println(float64(time.Since(begun).Nanoseconds()) / float64(count))
	}
}
