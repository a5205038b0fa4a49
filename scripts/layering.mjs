// Imports point downward only (docs/design.md, "The house"): checks it for src/ and lib/.

import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'

/** From the bottom up: a room may import from itself and from rooms before it. */
const RUST = [
  ['error'],
  ['backoff', 'document', 'keys'],
  ['redis'],
  ['audit'],
  ['session'],
  ['node'],
  ['lib'],
]
const JAVASCRIPT = [
  ['authorities', 'context', 'dates', 'errors', 'native', 'types'],
  ['ContextEmitter', 'Delivery', 'options', 'wire'],
  ['server', 'settle'],
  ['delay', 'document'],
  ['RedisClient'],
  ['adopt'],
  ['DBWriteQueue', 'Feed', 'NearCache'],
  ['RedisStateManager'],
]

const faults = []

for (const file of files('src', '.rs')) {
  const room = path.relative('src', file).split(path.sep)[0].replace('.rs', '')
  const text = fs.readFileSync(file, 'utf8')
  for (const [, target] of text.matchAll(/\bcrate::(\w+)/g)) check(RUST, file, room, target)
  if (room !== 'node' && /\bnapi(_derive)?::/.test(text))
    faults.push(`${file}: only src/node knows Node`)
}

for (const file of files('lib', '.js')) {
  const room = path.basename(file, '.js')
  const text = fs.readFileSync(file, 'utf8')
  for (const [, target] of text.matchAll(/require\('\.\/([\w-]+)\.js'\)/g)) {
    check(JAVASCRIPT, file, room, target)
  }
}

if (faults.length > 0) {
  process.stderr.write(`layering: imports that point upward\n  ${faults.join('\n  ')}\n`)
  process.exit(1)
}

function check(layers, file, room, target) {
  const level = (name) => layers.findIndex((rooms) => rooms.includes(name))
  if (level(room) < 0) faults.push(`${file}: "${room}" has no place in the house`)
  else if (level(target) < 0) faults.push(`${file}: "${target}" has no place in the house`)
  else if (target !== room && level(target) >= level(room))
    faults.push(`${file}: imports ${target}`)
}

function files(directory, ending) {
  return fs
    .readdirSync(directory, { recursive: true })
    .filter((name) => name.endsWith(ending))
    .map((name) => path.join(directory, name))
}
