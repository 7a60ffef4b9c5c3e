// Vectors from Go's math/rand, the generator behind rand.New(rand.NewSource(seed)).
package main

import (
	"fmt"
	"math/rand"
	"runtime"
)

func main() {
	seeds := []int64{0, 1, 42, 12345, 1<<31 - 1, 1 << 31, 1<<32 - 1}

	fmt.Printf("source\talfg607\t%s, math/rand, NewSource(seed).(Source64).Uint64()\n", runtime.Version())
	for _, seed := range seeds {
		source := rand.NewSource(seed).(rand.Source64)
		words, last := "", uint64(0)
		for i := 0; i < 10000; i++ {
			last = source.Uint64()
			if i < 16 {
				words += fmt.Sprintf(" %d", last)
			}
		}
		fmt.Printf("case\talfg607\t%d\t-\t%d\t%s\n", seed, last, words[1:])
	}

	fmt.Printf("source\tgo.Intn\t%s, math/rand, New(NewSource(seed)).Intn(modulus)\n", runtime.Version())
	for _, n := range []int{6, 1000, 1024, 1<<30 + 1, 1<<31 - 1} {
		for _, seed := range seeds {
			r, draws := rand.New(rand.NewSource(seed)), ""
			for i := 0; i < 64; i++ {
				draws += fmt.Sprintf(" %d", r.Intn(n))
			}
			fmt.Printf("case\tgo.Intn\t%d\t%d\t-\t%s\n", seed, n, draws[1:])
		}
	}
}
