// Everything that CI checks without running the product, from cheap to dear; all of it runs, so
// that one run shows every fault.

import { spawnSync } from 'node:child_process'
import process from 'node:process'

const CHECKS = [
  ['the formatter and linter of JavaScript', 'node_modules/.bin/biome ci --error-on-warnings .'],
  ['the types of lib/, and those that services get', 'node_modules/.bin/tsc -p .'],
  ['the types, as services on Node.js compile them', 'node_modules/.bin/tsc -p __test__/types'],
  [
    'the types, as services with a bundler compile them',
    'node_modules/.bin/tsc -p __test__/types/tsconfig.bundler.json',
  ],
  [
    'the types, of a service that registers its state',
    'node_modules/.bin/tsc -p __test__/types/registered',
  ],
  ['the layering', 'node scripts/layering.mjs'],
  ["the names of Redis' commands", 'node scripts/commandNames.mjs --check'],
  [
    'the packages of the platforms are those of package.json, and of its version',
    `rm -rf target/npm && node_modules/.bin/napi create-npm-dirs --npm-dir target/npm >/dev/null 2>&1 && diff -r --exclude='*.node' --exclude='*.txt' --exclude='*.cdx.json' npm target/npm`,
  ],
  ['the figures in docs/performance.md', 'node bench/index.mjs --check'],
  ['the runtimes in docs/runtimes.md', 'node scripts/runtimes.mjs --check'],
  ['the servers in docs/runtimes.md', 'node scripts/servers.mjs --check'],
  [
    'the licenses, sources and duplicates of crates',
    'node scripts/tools.mjs cargo-deny cargo-deny --offline --log-level warn check licenses bans sources',
  ],
  ['the workflows', 'node scripts/tools.mjs zizmor zizmor --offline --quiet .github'],
  ['the formatter of Rust', 'cargo fmt --check'],
  ['clippy, the core alone', 'cargo clippy --locked --all-targets -- -D warnings'],
  [
    'clippy, with the N-API boundary',
    'cargo clippy --locked --all-targets --features node -- -D warnings',
  ],
]

let failed = 0
for (const [what, command] of CHECKS) {
  const started = performance.now()
  const { status } = spawnSync(command, { shell: true, stdio: ['ignore', 'inherit', 'inherit'] })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  process.stdout.write(`${status === 0 ? 'ok    ' : 'FAILED'} ${what} (${seconds} s)\n`)
  if (status !== 0) failed++
}
process.exit(failed > 0 ? 1 : 0)
