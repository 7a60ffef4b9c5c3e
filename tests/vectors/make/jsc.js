// Vectors from JavaScriptCore's Math.random.
// Usage: jsc --forceWeakRandomSeed=1 --forcedWeakRandomSeed=SEED jsc.js -- SEED VERSION
'use strict'
const [seed, version] = arguments
const random = Array.from({ length: 10000 }, () => Math.random())
const words = random.map((x) => x * 2 ** 53)

for (const name of ['jsc', 'jsc.random']) print(`source\t${name}\tWebKitGTK ${version}, jsc --forcedWeakRandomSeed and Math.random`)
print(['case', 'jsc', seed, '-', words[9999], words.slice(0, 16).join(' ')].join('\t'))
for (const n of [1000, 1024, 6, 2 ** 31 + 1, 2 ** 32 - 1, 2 ** 32]) {
  const draws = random.slice(0, 64).map((x) => Math.floor(x * n))
  print(['case', 'jsc.random', seed, n, '-', draws.join(' ')].join('\t'))
}
