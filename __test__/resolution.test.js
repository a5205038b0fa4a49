'use strict'

const { execFile } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { promisify } = require('node:util')
const { entries } = require('./harness/entries.js')

const ROOT = path.join(__dirname, '..')
const TSC = path.join(ROOT, 'node_modules', '.bin', 'tsc')
/** Inside the package, so that it finds itself by its name, through its `exports`. */
const DIRECTORY = path.join(ROOT, 'target', 'resolution')

/**
 * Compiles only if the types of the entry name what it has at run time: no less and no more, but for
 * what `import` adds to a CommonJS module.
 */
function importOf(entry, index) {
  const names = Object.keys(require(entry)).map((name) => `'${name}'`)
  return `import * as entry${index} from '${entry}'
export const names${index}: Same<Names<typeof entry${index}>, ${names.join(' | ')}> = true
`
}

const SOURCE = `type Same<A, B> = [A, B] extends [B, A] ? true : false
type Names<Module> = Exclude<keyof Module, 'default' | 'module.exports'>
${entries.map(importOf).join('')}`

beforeAll(() => {
  fs.rmSync(DIRECTORY, { recursive: true, force: true })
  fs.mkdirSync(DIRECTORY, { recursive: true })
  // What is imported as an ES module, and what is required, may resolve to different files.
  for (const file of ['imported.mts', 'required.cts']) {
    fs.writeFileSync(path.join(DIRECTORY, file), SOURCE)
  }
})

test.each([
  ['node16', 'node16'],
  ['nodenext', 'nodenext'],
  ['bundler', 'esnext'],
])(
  'the types of every subpath compile with moduleResolution %s',
  async (moduleResolution, module) => {
    const config = path.join(DIRECTORY, `tsconfig.${moduleResolution}.json`)
    const compilerOptions = { module, moduleResolution, allowJs: false, checkJs: false }
    const settings = { extends: '../../tsconfig.json', compilerOptions, include: ['.'] }
    fs.writeFileSync(config, JSON.stringify(settings))

    const compilation = promisify(execFile)(TSC, ['-p', config])
    const { code = 0, stdout } = await compilation.catch((error) => error)

    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
  },
)
