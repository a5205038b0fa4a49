// Imports point downward only (docs/design.md, "The house"): checks it for src/, lib/ and the types,
// between rooms by the lists below, and between files by their imports, which must form no cycle.
//
// `node scripts/layering.mjs [root]`

import process from 'node:process'
import { cycles } from './layering/cycles.mjs'
import { readFiles } from './layering/files.mjs'
import { javascriptImports } from './layering/javascript.mjs'
import { rustImports } from './layering/rust.mjs'

/** From the bottom up: a room may import from itself and from rooms before it. */
const RUST = [
  ['error'],
  ['backoff', 'clock', 'closing', 'document', 'keys', 'tls'],
  ['operation'],
  ['engine'],
  ['redis', 'memory', 'audit', 'session'],
  ['node'],
  ['lib'],
]
const JAVASCRIPT = [
  ['realm'],
  ['report', 'telemetry'],
  ['settings'],
  ['document'],
  ['client'],
  ['audit'],
  ['session'],
  ['testing'],
]
const TYPES = [['errors'], ['types'], ['config'], ['state'], ['testing']]

const root = process.argv[2] ?? '.'
const rust = readFiles(root, 'src', '.rs')
const javascript = readFiles(root, 'lib', '.js')
const types = new Map(TYPES.flat().flatMap((room) => [...readFiles(root, room, '.d.ts')]))
const faults = []

for (const [file, text] of rust) {
  const room = file.split('/')[1].replace('.rs', '')
  for (const [, target] of text.matchAll(/\bcrate::(\w+)/g)) check(RUST, file, room, target)
  if (room !== 'node' && /\bnapi(_derive)?::/.test(text))
    faults.push(`${file}: only src/node knows Node`)
}

for (const [file, text] of javascript) {
  const room = file.split('/')[1]
  for (const [, target] of text.matchAll(/require\('\.\.\/([\w-]+)\/[\w-]+\.js'\)/g)) {
    check(JAVASCRIPT, file, room, target)
  }
}

for (const [file, text] of types) {
  const room = file.split('/')[0]
  for (const [, target] of text.matchAll(/\bfrom '\.\.\/([\w-]+)\/[\w-]+\.js'/g)) {
    check(TYPES, file, room, target)
  }
}

for (const imports of [
  rustImports(rust),
  javascriptImports(javascript),
  javascriptImports(types),
]) {
  for (const cycle of cycles(imports)) faults.push(`a cycle: ${cycle.join(' -> ')}`)
}

if (faults.length > 0) {
  process.stderr.write(`layering:\n  ${faults.join('\n  ')}\n`)
  process.exit(1)
}

function check(layers, file, room, target) {
  const level = (name) => layers.findIndex((rooms) => rooms.includes(name))
  if (level(room) < 0) faults.push(`${file}: "${room}" has no place in the house`)
  else if (level(target) < 0) faults.push(`${file}: "${target}" has no place in the house`)
  else if (target !== room && level(target) >= level(room))
    faults.push(`${file}: imports ${target}, which is no room below`)
}
