// Writes the names of Redis' commands, as ioredis has them as methods, into `lib/` and into the types:
// so the package itself needs no list at run time.
//
// `node scripts/commandNames.mjs [--check]`: with `--check` only says whether the files are current.

import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import process from 'node:process'

const { list } = createRequire(import.meta.url)('@ioredis/commands')

const HEAD = '// Made by scripts/commandNames.mjs from @ioredis/commands.'
const words = list.map((name) => `'${name}'`)

const FILES = {
  'lib/client/commandNames.js': `'use strict'

${HEAD}
const commandNames = \`
${lines(list)}
\`
  .trim()
  .split(/\\s+/)

module.exports = { commandNames }
`,
  'config/commandNames.d.ts': `${HEAD}

/** The commands of Redis, as methods are named after them. */
export type RedisCommandName =
${words.map((word) => `  | ${word}`).join('\n')}
`,
}

let stale = 0
for (const [file, text] of Object.entries(FILES)) {
  if (!process.argv.includes('--check')) writeFileSync(file, text)
  else if (readFileSync(file, 'utf8') !== text) {
    process.stderr.write(`${file} is not current: run node scripts/commandNames.mjs\n`)
    stale++
  }
}
process.exit(stale > 0 ? 1 : 0)

/** Words in lines of at most 100 characters. */
function lines(words) {
  const all = ['']
  for (const word of words) {
    const last = all.at(-1)
    if (last.length + word.length > 98) all.push(word)
    else all[all.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return all.join('\n')
}
