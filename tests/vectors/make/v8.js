// Vectors from V8's Math.random, by the Node.js that runs this under --random-seed.
// Usage: node --random-seed=SEED v8.js SEED FAMILY|- RECIPE; FAMILY is the generator whose words Math.random() * 2^53 shows.
'use strict'
const [given, family, recipe] = process.argv.slice(2)
// The flag is an int, which V8 takes into 64 bits with its sign.
const seed = BigInt.asUintN(64, BigInt(given))
const runtime = `Node.js ${process.version} (V8 ${process.versions.v8}), --random-seed and Math.random`
const random = Array.from({ length: 10000 }, () => Math.random())

for (const name of [family, recipe]) if (name !== '-') console.log(`source\t${name}\t${runtime}`)
if (family !== '-') {
  const words = random.map((x) => x * 2 ** 53)
  console.log(['case', family, seed, '-', words[9999], words.slice(0, 16).join(' ')].join('\t'))
}
// At 49001673 a number of 53 bits and its first 52 differ, in output 3 of seed 1.
for (const n of [1000, 1024, 6, 49001673, 2 ** 31 + 1, 2 ** 32 - 1, 2 ** 32]) {
  // More than a pool of 64.
  const draws = random.slice(0, 64).map((x) => Math.floor(x * n))
  console.log(['case', recipe, seed, n, '-', draws.join(' ')].join('\t'))
}
