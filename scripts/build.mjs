// Builds the native module, if its sources are newer than it. `--quick` builds for iterating: never
// measure that.

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const SOURCES = ['src', 'Cargo.toml', 'Cargo.lock', 'build.rs']

/** Whether the binary and its types are there and newer than the sources. */
export function isBuilt() {
  const platform = `.${process.platform}-${process.arch}` // napi adds the libc or the toolchain.
  const isOurs = (name) => name.endsWith('.node') && name.includes(platform)
  const binaries = fs.readdirSync('.').filter(isOurs)
  if (binaries.length === 0 || !fs.existsSync('native.d.ts')) return false
  // Cargo leaves a binary alone that is up to date: the types' time is that of the last build.
  return fs.statSync('native.d.ts').mtimeMs > Math.max(...SOURCES.map(newest))
}

/** Builds it; ends the process if that fails. */
export function build(profile = 'release') {
  const napi = path.join('node_modules', '@napi-rs', 'cli', 'dist', 'cli.js')
  const args = [napi, 'build', '--platform', '--profile', profile, '--features', 'node']
  args.push('--no-js', '--dts', 'native.d.ts', '--', '--locked')
  const { status } = spawnSync(process.execPath, args, { stdio: ['ignore', 2, 2] })
  if (status !== 0) process.exit(status ?? 1)
}

function newest(entry) {
  const { mtimeMs } = fs.statSync(entry)
  if (!fs.statSync(entry).isDirectory()) return mtimeMs
  return Math.max(mtimeMs, ...fs.readdirSync(entry).map((name) => newest(path.join(entry, name))))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  build(process.argv.includes('--quick') ? 'quick' : 'release')
}
