// Vectors from npm packages: seedrandom's xor128 (Marsaglia) and xorshift's xorshift128+ (Vigna, 23/18/5).
// Usage: node npm.js JDK_LINES; the splitmix64 outputs among those lines are the xorshift128+ seeding.
'use strict'
const fs = require('fs')
const path = require('path')
const modules = path.join(process.cwd(), 'node_modules')
const load = (name) => require(path.join(modules, name))
const version = (name) => load(name + '/package.json').version
const xor128 = load('seedrandom/lib/xor128.js')
const XorShift = load('xorshift').constructor

function family (name, seed, next) {
  const words = Array.from({ length: 10000 }, next)
  console.log(['case', name, seed, '-', words[9999], words.slice(0, 16).join(' ')].join('\t'))
}

const runtime = `Node.js ${process.version}`
console.log(`source\txorshift128\tnpm seedrandom ${version('seedrandom')}, lib/xor128.js, ${runtime}`)
for (const seed of [0, 1, 42, 12345, 123456789, 2 ** 31, 2 ** 32 - 1]) {
  const state = { x: seed | 0, y: 362436069, z: 521288629, w: 88675123 }
  const rng = xor128(0, { state })
  family('xorshift128', seed, () => rng.int32() >>> 0)
}

console.log(`source\txorshift128plus\tnpm xorshift ${version('xorshift')}, ${runtime}`)
for (const line of fs.readFileSync(process.argv[2], 'utf8').split('\n')) {
  const row = line.split('\t')
  if (row[0] !== 'case' || row[1] !== 'splitmix64') continue
  const words = row[5].split(' ').slice(0, 2).map(BigInt)
  const rng = new XorShift(words.flatMap((w) => [Number(w >> 32n), Number(w & 0xFFFFFFFFn)]))
  family('xorshift128plus', row[2], () => {
    const [high, low] = rng.randomint()
    return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
  })
}
