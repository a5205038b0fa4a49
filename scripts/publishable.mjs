// Builds the binary that is published for a platform, into npm/<platform>/, and checks it:
// `node scripts/publishable.mjs [target]`, where a target is one of those in package.json, and this
// machine's if none is named. For Linux zig links, against an old glibc or musl, whatever there is
// on this machine. It comes from PyPI, into target/.

import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseTriple } from '@napi-rs/cli'
import { componentsOf } from './third-party/components.mjs'
import { writeNotices } from './third-party/notices.mjs'
import { installTool } from './tools.mjs'

/** The oldest that Rust's standard library runs on; CentOS 7 has it. */
const GLIBC = '2.17'
const MAX_BYTES = 8e6

/** What every Linux has that Node.js runs on: the parts of its libc. */
const LIBRARIES = /^(lib(c|m|dl|rt|pthread)\.so(\.\d)?|ld-linux.*)$/

/** @returns the binary's path */
export function buildPublishable(target = hostTarget()) {
  const { platform, abi, platformArchABI } = parseTriple(target)
  const isLinux = platform === 'linux'
  const napi = path.join('node_modules', '@napi-rs', 'cli', 'dist', 'cli.js')
  const args = [napi, 'build', '--platform', '--profile', 'release', '--features', 'node']
  args.push('--target', isLinux && abi === 'gnu' ? `${target}.${GLIBC}` : target)
  // Not the directory of other builds: neither takes the other's for its own.
  args.push('--target-dir', path.join('target', 'publishable'))
  args.push('--output-dir', path.join('npm', platformArchABI))
  args.push('--no-js', '--dts', path.join('..', '..', 'target', 'publishable', 'native.d.ts'))
  if (isLinux) args.push('--cross-compile')
  const zig = isLinux ? installTool('zig') : undefined
  const searchPath = [
    ...(zig ? [path.join(zig, 'bin'), path.join(zig, 'ziglang')] : []),
    process.env.PATH,
  ]
  const PATH = searchPath.join(path.delimiter)
  run(process.execPath, [...args, '--', '--locked'], { ...process.env, PATH })

  const directory = path.join('npm', platformArchABI)
  const binary = path.join(directory, `synckairos-state.${platformArchABI}.node`)
  check(binary, platform)
  writeNotices(directory, binary, componentsOf(target, zig))
  return binary
}

/** The target of this machine, by its Rust. */
export function hostTarget() {
  const version = execFileSync('rustc', ['-vV'], { encoding: 'utf8' })
  return /^host: (.+)$/m.exec(version)[1]
}

function check(binary, platform) {
  const faults = platform === 'linux' ? faultsOfElf(binary) : []
  // What it links to is named in plain text. Whether the runtime is in it: .cargo/config.toml.
  if (platform === 'win32' && /vcruntime\d+\.dll/i.test(fs.readFileSync(binary, 'latin1'))) {
    faults.push("needs Visual C++'s redistributable")
  }
  const { size } = fs.statSync(binary)
  if (size > MAX_BYTES) faults.push(`has ${size} bytes, and may have ${MAX_BYTES}`)
  if (faults.length > 0) stop(`${binary} ${faults.join('; ')}`)
}

function faultsOfElf(binary) {
  const args = ['--wide', '--dynamic', '--version-info', '--section-headers', binary]
  const text = execFileSync('readelf', args, { encoding: 'utf8' })
  const all = (pattern) => [...new Set([...text.matchAll(pattern)].map(([, found]) => found))]
  const tooNew = (version) => version.localeCompare(GLIBC, 'en', { numeric: true }) > 0
  const faults = [
    ...all(/\bGLIBC_([\d.]+)/g)
      .filter(tooNew)
      .map((version) => `needs glibc ${version}`),
    ...all(/\(NEEDED\).*\[(.+)\]/g)
      .filter((library) => !LIBRARIES.test(library))
      .map((library) => `needs ${library}`),
  ]
  if (/ \.symtab /.test(text)) faults.push('is not stripped')
  return faults
}

function run(name, args, env = process.env) {
  const { status, error } = spawnSync(name, args, { stdio: ['ignore', 2, 2], env })
  if (status !== 0) stop(`\`${name} ${args.join(' ')}\` failed${error ? `: ${error.message}` : ''}`)
}

function stop(text) {
  process.stderr.write(`publishable: ${text}\n`)
  process.exit(1)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.stdout.write(`${buildPublishable(process.argv[2])}\n`)
}
